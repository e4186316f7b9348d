# find_package(Tartan) and pkg-config for the installed tree; both find their files relative to themselves.

include(CMakePackageConfigHelpers)

install(TARGETS tartan EXPORT TartanTargets FILE_SET HEADERS FILE_SET eigen)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Tartan)
install(EXPORT TartanTargets NAMESPACE Tartan:: DESTINATION ${package_dir})

configure_package_config_file(cmake/TartanConfig.cmake.in ${PROJECT_BINARY_DIR}/cmake/TartanConfig.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/TartanConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)  # until 1.0, minor versions may differ in their interface
install(FILES ${PROJECT_BINARY_DIR}/cmake/TartanConfig.cmake ${PROJECT_BINARY_DIR}/cmake/TartanConfigVersion.cmake
  DESTINATION ${package_dir})

# MPI has no portable .pc file, so its flags are written out. fmt is private: a shared libtartan brings it along, an
# archive leaves it to the program that links it.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
cmake_path(SET pc_prefix NORMALIZE "${pc_prefix}")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
list(TRANSFORM MPI_C_INCLUDE_DIRS PREPEND -I OUTPUT_VARIABLE pc_mpi_cflags)
get_target_property(pc_definitions tartan INTERFACE_COMPILE_DEFINITIONS)
list(TRANSFORM pc_definitions PREPEND -D)
string(JOIN " " pc_mpi_cflags ${pc_definitions} ${pc_mpi_cflags} ${MPI_C_COMPILE_OPTIONS})
string(JOIN " " pc_mpi_libs ${MPI_C_LINK_FLAGS} ${MPI_C_LIBRARIES})
set(pc_requires "")
if(NOT BUILD_SHARED_LIBS)
  set(pc_requires "fmt >= ${fmt_VERSION}")
endif()
set(pc_cuda_libs "")
if(TARTAN_CUDA AND NOT BUILD_SHARED_LIBS)
  set(pc_cuda_libs "-L${CUDAToolkit_LIBRARY_DIR} -lcublas -lcudart")
endif()
configure_file(cmake/tartan.pc.in ${PROJECT_BINARY_DIR}/cmake/tartan.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cmake/tartan.pc DESTINATION ${pc_dir})
