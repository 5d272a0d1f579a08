# cmake --install: both libraries, headers, pkg-config and CMake packages, programs, unit, man pages, completion.
include(CMakePackageConfigHelpers)

install(TARGETS imgq imgq_client EXPORT ImgqTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS imgq_static imgq_client_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/imgq DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)

set_target_properties(imgq PROPERTIES EXPORT_NAME imgq)
set_target_properties(imgq_client PROPERTIES EXPORT_NAME client)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Imgq)
install(EXPORT ImgqTargets NAMESPACE imgq:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/ImgqConfig.cmake.in ${PROJECT_BINARY_DIR}/ImgqConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# the same minor until 1.0: each minor may break
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ImgqConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ImgqConfig.cmake ${PROJECT_BINARY_DIR}/ImgqConfigVersion.cmake DESTINATION ${package_dir})

# absolute or relative libdir, as GNUInstallDirs has it
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE IMGQ_PC_LIBDIR)
cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE IMGQ_PC_INCLUDEDIR)
set(IMGQ_PC_BLAS "")
if(IMGQ_OPENBLAS)
  set(IMGQ_PC_BLAS openblas)
endif()
foreach(name imgq imgq-client)
  configure_file(${PROJECT_SOURCE_DIR}/pkgconfig/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
