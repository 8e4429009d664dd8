# What all targets have in common, and the one target that holds the public headers.

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# The public headers: include/tern/ and the standard library, nothing else.
add_library(tern_public INTERFACE)
target_include_directories(tern_public INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
target_compile_features(tern_public INTERFACE cxx_std_20)

# Compiler settings of our own code; never seen by users.
add_library(tern_settings INTERFACE)
target_compile_features(tern_settings INTERFACE cxx_std_20)
target_compile_options(tern_settings INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Wold-style-cast
    -Woverloaded-virtual -Wimplicit-fallthrough
    $<$<BOOL:${TERN_WERROR}>:-Werror>
    # GCC 12 calls every member that a designated initialiser leaves to its default "missing".
    -Wno-missing-field-initializers
    # GCC 12 sees overlaps in std::string's operator+ that are not there (its bug 105651).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
# As Debian builds its packages, and a little more. For programs of ours and for the library; users have flags of their own.
set(TERN_HARDENING OFF)
if(TERN_HARDEN AND NOT TERN_SANITIZE AND CMAKE_BUILD_TYPE MATCHES "Rel")
    set(TERN_HARDENING ON)
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
    target_compile_options(tern_settings INTERFACE
        -fstack-protector-strong -fstack-clash-protection -Wformat -Werror=format-security
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
        $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>)
    target_link_options(tern_settings INTERFACE
        -Wl,-z,relro -Wl,-z,now $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
endif()
if(TERN_SANITIZE)
    add_compile_options(-fsanitize=${TERN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${TERN_SANITIZE})
endif()

if(TERN_BUILD_FUZZERS)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# tern_layer(<name> SOURCES ... [LINK ...]): a folder of src/ as an object library. It sees the public headers, its own
# folder, and what it links.
function(tern_layer name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} OBJECT ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC tern_public PRIVATE tern_settings ${arg_LINK})
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF
        CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# tern_program(<name> SOURCES ... LINK ...): an executable of our own, in the root of the build tree.
function(tern_program name)
    cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE tern_settings ${arg_LINK})
    set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()
