# The installed tree, and its use by other projects: ctest -L package. The archive is that of this build; the shared library
# is built here, without what tests need.

function(tartan_package_test step)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SETS_UP;REQUIRES" "")
  tartan_mpi_command(mpiexec 2 60)
  tartan_add_test(package.${step} 2 600 package
    consumer/check ${step} ${PROJECT_BINARY_DIR}/package ${CMAKE_CXX_COMPILER}
      "${CMAKE_CXX_FLAGS} $<$<CONFIG:Debug>:${CMAKE_CXX_FLAGS_DEBUG}>" ${mpiexec})
  set_tests_properties(package.${step} PROPERTIES
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
    FIXTURES_SETUP "${arg_SETS_UP}" FIXTURES_REQUIRED "${arg_REQUIRES}")
endfunction()

if(TARTAN_INSTALL AND NOT BUILD_SHARED_LIBS AND TARTAN_CUDA STREQUAL "OFF")
  tartan_package_test(install SETS_UP installed)
  tartan_package_test(find_package REQUIRES installed)
  tartan_package_test(pkg_config REQUIRES installed)
endif()
tartan_package_test(add_subdirectory SETS_UP installed_shared)
tartan_package_test(shared REQUIRES installed_shared)
