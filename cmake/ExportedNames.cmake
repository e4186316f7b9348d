# A shared libtartan exports the names of namespace tartan and no others (instantiations of the standard library and of
# fmt stay inside), without a macro on every declaration.

include(CheckLinkerFlag)
set(map ${PROJECT_SOURCE_DIR}/cmake/exported_names.map)
check_linker_flag(CXX "LINKER:--version-script=${map}" TARTAN_HAVE_VERSION_SCRIPTS)
if(TARTAN_HAVE_VERSION_SCRIPTS AND BUILD_SHARED_LIBS)
  target_link_options(tartan PRIVATE "LINKER:--version-script=${map}")
  set_target_properties(tartan PROPERTIES LINK_DEPENDS ${map})
endif()
