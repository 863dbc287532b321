// Everything in this room lives in a namespace of its instruction set, so that no copy compiled for a wide one can
// be taken by the linker for another.
#pragma once

#ifndef FASTNN_ISA
#define FASTNN_ISA base
#endif

#define FASTNN_CPU_BEGIN namespace fastnn::cpu::FASTNN_ISA {
#define FASTNN_CPU_END }

// The loop has no dependencies between iterations (the output may be exactly an input).
#if defined(__clang__)
#define FASTNN_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define FASTNN_IVDEP _Pragma("GCC ivdep")
#endif
