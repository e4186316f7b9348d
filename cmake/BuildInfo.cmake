# The generated header <tartan/version.hpp> and what src/base/version.cpp reports at run time.

set(tartan_version_header ${PROJECT_BINARY_DIR}/include/tartan/version.hpp)
configure_file(include/tartan/version.hpp.in ${tartan_version_header} @ONLY)

set(tartan_commit unknown)
find_package(Git QUIET)
if(GIT_FOUND AND EXISTS ${PROJECT_SOURCE_DIR}/.git)  # not the commit of a host project that holds a copy of Tartan
  execute_process(
    COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --short=12 HEAD
    OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
  if(status EQUAL 0)
    set(tartan_commit ${head})
  endif()
  execute_process(
    COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --path-format=absolute --git-path logs/HEAD
    OUTPUT_VARIABLE head_log OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(EXISTS "${head_log}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${head_log})
  endif()
endif()

string(REGEX MATCH "^[^,\n]*" tartan_mpi "${MPI_C_LIBRARY_VERSION_STRING}")
string(STRIP "${tartan_mpi}" tartan_mpi)
if(NOT tartan_mpi)
  set(tartan_mpi "MPI ${MPI_C_VERSION}")
endif()

set(tartan_options "shared=$<BOOL:${BUILD_SHARED_LIBS}> cuda=$<BOOL:${TARTAN_CUDA}>")
set_source_files_properties(src/base/version.cpp PROPERTIES COMPILE_DEFINITIONS
  "TARTAN_COMMIT=\"${tartan_commit}\";TARTAN_BUILD_TYPE=\"$<CONFIG>\";TARTAN_COMPILER=\"${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}\";TARTAN_MPI=\"${tartan_mpi}\";TARTAN_OPTIONS=\"${tartan_options}\"")
