# Finds what third_party/*.toml lists: the targets fastnn::eigen and fastnn::blas, and pybind11_DIR.
# The wheels of the build requirements are searched without importing them. Nothing found here is cached: pip's
# isolated build environments have another path every time.

if(FASTNN_BUILD_PYTHON)
  find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
else()
  find_package(Python 3.10 REQUIRED COMPONENTS Interpreter)
endif()

# fastnn_find_in_python(<variable> <path>): the first folder of sys.path that has <path> in it, as <folder>/<path>.
function(fastnn_find_in_python variable path)
  execute_process(
    COMMAND ${Python_EXECUTABLE} -c
            "import os, sys; print(next((p for d in sys.path if os.path.exists(p := os.path.join(d, sys.argv[1]))), ''))"
            ${path}
    OUTPUT_VARIABLE found
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${variable} "${found}" PARENT_SCOPE)
endfunction()

# Eigen: from the source distribution, or else from the wheel cmeel-eigen.
set(eigen_include ${PROJECT_SOURCE_DIR}/third_party/eigen)
if(NOT EXISTS ${eigen_include}/Eigen/Core)
  fastnn_find_in_python(eigen_include cmeel.prefix/include/eigen3)
  if(NOT eigen_include)
    message(FATAL_ERROR "Eigen was not found: pip install cmeel-eigen==3.4.1, or python tools/third_party.py vendor")
  endif()
endif()
message(STATUS "Eigen: ${eigen_include}")
add_library(fastnn_eigen INTERFACE)
add_library(fastnn::eigen ALIAS fastnn_eigen)
target_include_directories(fastnn_eigen SYSTEM INTERFACE ${eigen_include})
target_compile_definitions(fastnn_eigen INTERFACE EIGEN_MPL2_ONLY)

# BLAS: the one that the user names, or else the wheel scipy-openblas32, whose libraries travel in fastnn/_libs.
set(fastnn_blas_bundle "") # files to be installed
if(FASTNN_BLAS_LIBRARY)
  set(blas_library ${FASTNN_BLAS_LIBRARY})
  set(blas_include ${FASTNN_BLAS_INCLUDE})
  set(blas_prefix ${FASTNN_BLAS_PREFIX})
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_LIBRARIES ${blas_library})
  check_cxx_source_compiles(
    "extern \"C\" void ${blas_prefix}openblas_set_num_threads(int); int main() { ${blas_prefix}openblas_set_num_threads(1); }"
    FASTNN_BLAS_IS_OPENBLAS)
  unset(CMAKE_REQUIRED_LIBRARIES)
  set(blas_is_openblas ${FASTNN_BLAS_IS_OPENBLAS})
  get_filename_component(fastnn_blas_rpath ${blas_library} DIRECTORY)
else()
  fastnn_find_in_python(blas_root scipy_openblas32)
  if(NOT blas_root)
    message(FATAL_ERROR "OpenBLAS was not found: pip install scipy-openblas32, or set FASTNN_BLAS_LIBRARY")
  endif()
  set(blas_library ${blas_root}/lib/libscipy_openblas${CMAKE_SHARED_LIBRARY_SUFFIX})
  set(blas_include ${blas_root}/include)
  set(blas_prefix scipy_)
  set(blas_is_openblas ON)
  file(GLOB fastnn_blas_bundle ${blas_root}/lib/lib*${CMAKE_SHARED_LIBRARY_SUFFIX}*)
  file(GLOB fastnn_blas_licence ${blas_root}/../scipy_openblas32-*.dist-info/licenses/LICENSE.txt)
  set(fastnn_blas_rpath "$ORIGIN/_libs")
endif()
if(NOT EXISTS ${blas_library})
  message(FATAL_ERROR "The BLAS library ${blas_library} does not exist")
endif()
message(STATUS "BLAS: ${blas_library}")
# Only csrc/cpu_host/blas.cpp and lapack.cpp see these.
add_library(fastnn_blas INTERFACE)
add_library(fastnn::blas ALIAS fastnn_blas)
target_include_directories(fastnn_blas SYSTEM INTERFACE ${blas_include})
target_link_libraries(fastnn_blas INTERFACE ${FASTNN_LAPACK_LIBRARY} ${blas_library})
target_compile_definitions(fastnn_blas INTERFACE FASTNN_BLAS_PREFIX=${blas_prefix}
                                                 $<$<BOOL:${blas_is_openblas}>:FASTNN_BLAS_IS_OPENBLAS>)

# pybind11 comes from its wheel. scikit-build-core passes pybind11_DIR; a plain cmake run asks Python for it.
if(FASTNN_BUILD_PYTHON AND NOT SKBUILD)
  fastnn_find_in_python(pybind11_DIR pybind11/share/cmake/pybind11)
endif()
