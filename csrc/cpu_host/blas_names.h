// How the linked BLAS spells the names of its functions: the wheel's have a prefix.
#pragma once

#define FASTNN_PASTE_(a, b) a##b
#define FASTNN_PASTE(a, b) FASTNN_PASTE_(a, b)
#define FASTNN_BLAS(name) FASTNN_PASTE(FASTNN_BLAS_PREFIX, name)
// A routine of Fortran.
#define FASTNN_LAPACK(name) FASTNN_PASTE(FASTNN_BLAS(name), _)
