# Component folders of ESP-IDF on a host. A program is an added top-level file of five lines:
#
#     cmake_minimum_required(VERSION 3.25)
#     project(my_program C CXX)
#     find_package(tern REQUIRED COMPONENTS esp)
#     add_subdirectory(main)                       # and each folder of components/
#     tern_esp_program(my_program)
#
# The folders' own CMakeLists.txt stay as they are.

# Registers a component: SRCS or SRC_DIRS, INCLUDE_DIRS, PRIV_INCLUDE_DIRS, EMBED_FILES, EMBED_TXTFILES. What it REQUIRES
# is either in tern::esp or another component of the program, and all components see one another's INCLUDE_DIRS.
function(idf_component_register)
    cmake_parse_arguments(arg "WHOLE_ARCHIVE" "LDFRAGMENTS;KCONFIG;KCONFIG_PROJBUILD"
        "SRCS;SRC_DIRS;EXCLUDE_SRCS;INCLUDE_DIRS;PRIV_INCLUDE_DIRS;REQUIRES;PRIV_REQUIRES;EMBED_FILES;EMBED_TXTFILES;REQUIRED_IDF_TARGETS"
        ${ARGN})
    get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    set(program ${CMAKE_PROJECT_NAME})
    if(PROJECT_NAME)
        set(program ${PROJECT_NAME})
    endif()
    set(target __idf_${program}_${folder})
    foreach(each IN LISTS arg_SRC_DIRS)
        file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${each}/*.c ${CMAKE_CURRENT_SOURCE_DIR}/${each}/*.cpp)
        list(APPEND arg_SRCS ${found})
    endforeach()
    foreach(each IN LISTS arg_EXCLUDE_SRCS)
        list(REMOVE_ITEM arg_SRCS ${each} ${CMAKE_CURRENT_SOURCE_DIR}/${each})
    endforeach()
    __tern_esp_shared(${program} shared)
    foreach(each IN LISTS arg_INCLUDE_DIRS)
        get_filename_component(each ${each} ABSOLUTE)
        target_include_directories(${shared} INTERFACE ${each})
    endforeach()
    if(arg_EMBED_FILES OR arg_EMBED_TXTFILES)
        foreach(each IN LISTS arg_EMBED_FILES)
            __tern_esp_embed(${each} "" source)
            list(APPEND arg_SRCS ${source})
        endforeach()
        foreach(each IN LISTS arg_EMBED_TXTFILES)
            __tern_esp_embed(${each} ".byte 0" source)
            list(APPEND arg_SRCS ${source})
        endforeach()
    endif()
    if(arg_SRCS)
        add_library(${target} OBJECT ${arg_SRCS})
        target_link_libraries(${target} PRIVATE tern::esp ${shared})
        target_include_directories(${target} PRIVATE ${arg_PRIV_INCLUDE_DIRS})
        set_property(GLOBAL APPEND PROPERTY TERN_ESP_COMPONENTS_${program} ${target})
    else()
        add_library(${target} INTERFACE)
    endif()
    set(COMPONENT_LIB ${target} PARENT_SCOPE)
    set(COMPONENT_NAME ${folder} PARENT_SCOPE)
    set(COMPONENT_DIR ${CMAKE_CURRENT_SOURCE_DIR} PARENT_SCOPE)
endfunction()

# Options of Kconfig that the program's own menu would have had: tern_esp_config(EXAMPLE_URI="ws://..." COUNT=3)
function(tern_esp_config)
    __tern_esp_shared(${PROJECT_NAME} shared)
    foreach(each IN LISTS ARGN)
        target_compile_definitions(${shared} INTERFACE CONFIG_${each})
    endforeach()
endfunction()

# An executable from all components that were registered, with app_main() as its beginning.
function(tern_esp_program name)
    get_property(components GLOBAL PROPERTY TERN_ESP_COMPONENTS_${PROJECT_NAME})
    set(objects)
    foreach(each IN LISTS components)
        list(APPEND objects $<TARGET_OBJECTS:${each}>)
    endforeach()
    add_executable(${name} ${objects})
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
    # main() is in a library and app_main() in an object, so that both are found in this order.
    target_link_libraries(${name} PRIVATE tern::esp_main)
endfunction()

# What all components of a program see.
function(__tern_esp_shared program result)
    set(shared __tern_esp_shared_${program})
    if(NOT TARGET ${shared})
        add_library(${shared} INTERFACE)
    endif()
    set(${result} ${shared} PARENT_SCOPE)
endfunction()

# A file as bytes between the symbols _binary_NAME_start and _binary_NAME_end.
function(__tern_esp_embed file tail result)
    get_filename_component(path ${file} ABSOLUTE)
    get_filename_component(name ${file} NAME)
    string(MAKE_C_IDENTIFIER ${name} symbol)
    # Assembly within C, because a language can only be enabled at the top.
    set(source ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.c)
    file(CONFIGURE OUTPUT ${source} CONTENT [[
__asm__(".section .rodata\n"
        ".global _binary_@symbol@_start\n"
        ".global _binary_@symbol@_end\n"
        "_binary_@symbol@_start:\n"
        ".incbin \"@path@\"\n"
        "@tail@\n"
        "_binary_@symbol@_end:\n"
        ".text\n");
extern const char _binary_@symbol@_start[];
]] @ONLY)
    set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${path})
    set(${result} ${source} PARENT_SCOPE)
endfunction()
