# `cmake --install`: headers, archives, a CMake package with components, and pkg-config files.
#
#     find_package(tern REQUIRED)                    tern::tern
#     find_package(tern REQUIRED COMPONENTS esp)     tern::esp, tern::esp_main, idf_component_register
#     find_package(tern REQUIRED COMPONENTS testing) tern::testing
#
# A component has an export set of its own: tern_install_component(<component> <target>...).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(TERN_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/tern)

function(tern_install_component component)
    install(TARGETS ${ARGN} EXPORT tern-${component}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    install(EXPORT tern-${component} NAMESPACE tern:: DESTINATION ${TERN_PACKAGE_DIR} FILE tern-${component}-targets.cmake)
endfunction()

set_target_properties(tern PROPERTIES EXPORT_NAME tern)
set_target_properties(tern_public PROPERTIES EXPORT_NAME public)
tern_install_component(tern tern tern_public)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/tern DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.hpp" PATTERN "*.inc" PATTERN "esp" EXCLUDE PATTERN "testing" EXCLUDE)

if(TERN_BUILD_TESTING)
    tern_install_component(testing tern_testing)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/tern/testing DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tern)
endif()
if(TERN_BUILD_ESP)
    tern_install_component(esp tern_esp tern_esp_main)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/tern/esp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tern)
    install(FILES ${PROJECT_SOURCE_DIR}/cmake/TernEsp.cmake DESTINATION ${TERN_PACKAGE_DIR})
endif()

# What a user of the archive has to find again: the packages behind the imported targets that it links.
set(TERN_DEPENDENCIES "find_dependency(Threads)\n")
foreach(library IN LISTS TERN_LIBRARIES)
    if(library MATCHES "^OpenSSL::")
        string(APPEND TERN_DEPENDENCIES "find_dependency(OpenSSL 3.0)\n")
    elseif(NOT library MATCHES "^Threads::" AND library MATCHES "^([A-Za-z0-9]+)::")
        string(APPEND TERN_DEPENDENCIES "find_dependency(${CMAKE_MATCH_1})\n")
    endif()
endforeach()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/tern-config.cmake.in
    ${PROJECT_BINARY_DIR}/package/tern-config.cmake INSTALL_DESTINATION ${TERN_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/tern-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/tern-config.cmake ${PROJECT_BINARY_DIR}/package/tern-config-version.cmake
    DESTINATION ${TERN_PACKAGE_DIR})

# pkg-config. An archive's own libraries are part of what its users link.
set(TERN_PC_LIBRARIES "-pthread")
foreach(library IN LISTS TERN_LIBRARIES)
    if(library STREQUAL "OpenSSL::SSL")
        string(APPEND TERN_PC_LIBRARIES " -lssl")
    elseif(library STREQUAL "OpenSSL::Crypto")
        string(APPEND TERN_PC_LIBRARIES " -lcrypto")
    elseif(library STREQUAL "ZLIB::ZLIB")
        string(APPEND TERN_PC_LIBRARIES " -lz")
    elseif(NOT library MATCHES "^Threads::" AND library MATCHES "^([A-Za-z0-9]+)::")
        string(APPEND TERN_PC_LIBRARIES " -l${CMAKE_MATCH_1}")
    elseif(library MATCHES "/lib([^/]+)\\.(so|a)$")
        string(APPEND TERN_PC_LIBRARIES " -l${CMAKE_MATCH_1}")
    endif()
endforeach()
string(APPEND TERN_PC_LIBRARIES " -lstdc++ -lm")
# Seen from the file, so that the whole can be moved or installed with another prefix.
file(RELATIVE_PATH TERN_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
if(TERN_BUILD_ESP)
    get_target_property(definitions tern_esp INTERFACE_COMPILE_DEFINITIONS)
    list(TRANSFORM definitions PREPEND "-D")
    list(JOIN definitions " " TERN_PC_ESP_DEFINITIONS)
    set(pc_files tern tern-esp)
else()
    set(pc_files tern)
endif()
foreach(name IN LISTS pc_files)
    configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/package/${name}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/package/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
