# The extension fastnn._C, and the BLAS library beside it in fastnn/_libs.

find_package(pybind11 3.0 CONFIG REQUIRED)

file(GLOB binding_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/csrc/bindings/*.cpp)
pybind11_add_module(_C MODULE NO_EXTRAS ${binding_sources})
target_link_libraries(_C PRIVATE fastnn_native)
target_compile_definitions(_C PRIVATE FASTNN_VERSION="${PROJECT_VERSION}")
set_target_properties(_C PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "${fastnn_blas_rpath}")

install(TARGETS _C LIBRARY DESTINATION fastnn)
if(fastnn_blas_bundle)
  install(FILES ${fastnn_blas_bundle} DESTINATION fastnn/_libs)
  install(FILES ${fastnn_blas_licence} DESTINATION fastnn/_libs RENAME LICENSE-openblas.txt)
endif()
if(NOT SKBUILD) # scikit-build-core adds the Python files by itself
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/python/fastnn DESTINATION . PATTERN "__pycache__" EXCLUDE
          PATTERN "*.so*" EXCLUDE)
endif()

if(FASTNN_IN_TREE)
  set(package ${PROJECT_SOURCE_DIR}/python/fastnn)
  set_target_properties(_C PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${package})
  if(fastnn_blas_bundle)
    file(COPY ${fastnn_blas_bundle} DESTINATION ${package}/_libs)
    configure_file(${fastnn_blas_licence} ${package}/_libs/LICENSE-openblas.txt COPYONLY)
  endif()
endif()
