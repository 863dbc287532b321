// The one file that names LAPACK. Each routine runs in the calling thread; a batch is spread over our threads.
#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numeric>
#include <type_traits>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu_host/blas_names.h"
#include "kernels/linalg.h"
#include "kernels/matmul.h"

// --- routines, by the type of their elements -------------------------------------------------------------------------

namespace fastnn::lapack {

using Text = const char*;
using Int = const int*;
using Length = std::size_t;  // Fortran passes the lengths of strings last

template <class T>
using Potrf = void(Text uplo, Int n, T* a, Int lda, int* info, Length);
template <class T>
using Getrf = void(Int m, Int n, T* a, Int lda, int* pivots, int* info);
template <class T>
using Getrs = void(Text form, Int n, Int count, const T* a, Int lda, Int pivots, T* b, Int ldb, int* info, Length);
template <class T>
using Trsm = void(Text side, Text uplo, Text form, Text unit, Int m, Int n, const T* alpha, const T* a, Int lda, T* b,
                  Int ldb, Length, Length, Length, Length);
template <class T>
using Geqrf = void(Int m, Int n, T* a, Int lda, T* tau, T* work, Int room, int* info);
template <class T>
using Orgqr = void(Int m, Int n, Int k, T* a, Int lda, const T* tau, T* work, Int room, int* info);
template <class T>
using Ormqr = void(Text side, Text form, Int m, Int n, Int k, const T* a, Int lda, const T* tau, T* c, Int ldc, T* work,
                   Int room, int* info, Length, Length);
template <class T>
using Sytrf = void(Text uplo, Int n, T* a, Int lda, int* pivots, T* work, Int room, int* info, Length);
template <class T>
using Sytrs = void(Text uplo, Int n, Int count, const T* a, Int lda, Int pivots, T* b, Int ldb, int* info, Length);
template <class T>
using Syevd = void(Text job, Text uplo, Int n, T* a, Int lda, T* values, T* work, Int room, int* integers,
                   Int integer_room, int* info, Length, Length);
template <class T>
using Gesdd = void(Text job, Int m, Int n, T* a, Int lda, T* s, T* u, Int ldu, T* vh, Int ldvh, T* work, Int room,
                   int* integers, int* info, Length);
template <class T>
using Gels = void(Text form, Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, T* work, Int room, int* info,
                  Length);
template <class T>
using Gelsy = void(Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, int* order, const T* rcond, int* rank,
                   T* work, Int room, int* info);
template <class T>
using Gelsd = void(Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, T* s, const T* rcond, int* rank, T* work,
                   Int room, int* integers, int* info);
template <class T>
using Gelss = void(Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, T* s, const T* rcond, int* rank, T* work,
                   Int room, int* info);

// `name<T>` is the routine for elements of type T.
#define FASTNN_ROUTINE(Type, name)                              \
  extern "C" Type<float> FASTNN_LAPACK(s##name);                \
  extern "C" Type<double> FASTNN_LAPACK(d##name);               \
  template <class T>                                            \
  constexpr Type<T>* name = nullptr;                            \
  template <>                                                   \
  constexpr Type<float>* name<float> = &FASTNN_LAPACK(s##name); \
  template <>                                                   \
  constexpr Type<double>* name<double> = &FASTNN_LAPACK(d##name)

FASTNN_ROUTINE(Potrf, potrf);
FASTNN_ROUTINE(Getrf, getrf);
FASTNN_ROUTINE(Getrs, getrs);
FASTNN_ROUTINE(Trsm, trsm);
FASTNN_ROUTINE(Geqrf, geqrf);
FASTNN_ROUTINE(Orgqr, orgqr);
FASTNN_ROUTINE(Ormqr, ormqr);
FASTNN_ROUTINE(Sytrf, sytrf);
FASTNN_ROUTINE(Sytrs, sytrs);
FASTNN_ROUTINE(Syevd, syevd);
FASTNN_ROUTINE(Gesdd, gesdd);
FASTNN_ROUTINE(Gels, gels);
FASTNN_ROUTINE(Gelsy, gelsy);
FASTNN_ROUTINE(Gelsd, gelsd);
FASTNN_ROUTINE(Gelss, gelss);
#undef FASTNN_ROUTINE

}  // namespace fastnn::lapack

namespace fastnn {

namespace {

// --- stacks of matrices ----------------------------------------------------------------------------------------------

int narrow(std::int64_t value) {
  FASTNN_CHECK(value <= std::numeric_limits<int>::max(), ErrorKind::Runtime,
               "linalg: a dimension of at most 2^31 - 1 elements is supported, got ", value);
  return static_cast<int>(value);
}

// The i-th matrix (inner = 2) or vector (inner = 1) of a view. Vectors have one column.
template <class T>
class Stack {
 public:
  explicit Stack(const View& view, int inner = 2) : view_(view), batch_(view.ndim - inner) {
    if (view.data == nullptr && batch_ < 0) return;
    rows = narrow(view.sizes[batch_]);
    columns = inner == 2 ? narrow(view.sizes[batch_ + 1]) : 1;
    for (int d = 0; d < batch_; ++d) count *= view.sizes[d];
    lead = std::max(1, rows);
  }
  T* operator[](std::int64_t i) const {
    std::int64_t offset = 0;
    for (int d = batch_ - 1; d >= 0; --d) {
      offset += i % view_.sizes[d] * view_.strides[d];
      i /= view_.sizes[d];
    }
    return view_.as<T>() == nullptr ? nullptr : view_.as<T>() + offset;
  }

  std::int64_t count = 1;
  int rows = 0;
  int columns = 0;
  int lead = 1;

 private:
  View view_;
  int batch_;
};

// body(begin, end) over the matrices of a stack, in parallel where there is work for it.
template <class T, class F>
void parts(const Stack<T>& stack, F&& body) {
  constexpr double kGrain = 1 << 16;  // operations
  const double each = 1.0 + static_cast<double>(stack.rows) * stack.columns * std::min(stack.rows, stack.columns);
  parallel_for(stack.count, std::max<std::int64_t>(1, static_cast<std::int64_t>(kGrain / each)), body);
}

// f.operator()<T>() for the element type.
template <class F>
void visit(DType dtype, F&& f) {
  if (dtype == DType::Float32) return f.template operator()<float>();
  if (dtype == DType::Float64) return f.template operator()<double>();
  fail_not_implemented("linalg", dtype);
}

// The room that a routine asked for: a float may have rounded it down.
template <class T>
int room_of(T answer) {
  return std::max(1, static_cast<int>(std::ceil(answer * (1 + std::numeric_limits<T>::epsilon()))));
}
template <class T>
Scratch room_for(std::int64_t count) {
  return Scratch(std::max<std::int64_t>(1, count) * static_cast<std::int64_t>(sizeof(T)));
}
constexpr int kAsk = -1;

char uplo_of(bool upper) { return upper ? 'U' : 'L'; }

// --- kernels ---------------------------------------------------------------------------------------------------------

void cholesky(const View& a_view, const View& info, bool upper) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const int n = a.rows;
    const char uplo = uplo_of(upper);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        T* matrix = a[i];
        lapack::potrf<T>(&uplo, &n, matrix, &a.lead, info.as<int>() + i, 1);
        for (std::int64_t c = 0; c < n; ++c) {
          if (upper) {
            std::fill(matrix + c * n + c + 1, matrix + c * n + n, T());
          } else {
            std::fill(matrix + c * n, matrix + c * n + c, T());
          }
        }
      }
    });
  });
}

void lu(const View& a_view, const View& pivots_view, const View& info) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const Stack<int> pivots(pivots_view, 1);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::getrf<T>(&a.rows, &a.columns, a[i], &a.lead, pivots[i], info.as<int>() + i);
      }
    });
  });
}

void permutation(const View& rows_view, const View& pivots_view) {
  const Stack<std::int64_t> rows(rows_view, 1);
  const Stack<int> pivots(pivots_view, 1);
  for (std::int64_t i = 0; i < rows.count; ++i) {
    std::int64_t* row = rows[i];
    const int* pivot = pivots[i];
    std::iota(row, row + rows.rows, std::int64_t{0});
    for (int k = 0; k < pivots.rows; ++k) {
      FASTNN_CHECK(pivot[k] >= 1 && pivot[k] <= rows.rows, ErrorKind::Runtime, "lu_unpack: pivots must be in [1, ",
                   rows.rows, "], got ", pivot[k]);
      std::swap(row[k], row[pivot[k] - 1]);
    }
  }
}

void lu_solve(const View& b_view, const View& lu_view, const View& pivots_view, Form form) {
  visit(b_view.dtype, [&]<class T>() {
    const Stack<T> b(b_view);
    const Stack<T> a(lu_view);
    const Stack<int> pivots(pivots_view, 1);
    const char how = static_cast<char>(form);
    parts(b, [&](std::int64_t begin, std::int64_t end) {
      int info = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::getrs<T>(&how, &a.rows, &b.columns, a[i], &a.lead, pivots[i], b[i], &b.lead, &info, 1);
      }
    });
  });
}

void triangular_solve(const View& b_view, const View& a_view, bool left, bool upper, Form form, bool unit) {
  visit(b_view.dtype, [&]<class T>() {
    const Stack<T> b(b_view);
    const Stack<T> a(a_view);
    const char side = left ? 'L' : 'R';
    const char uplo = uplo_of(upper);
    const char how = static_cast<char>(form);
    const char diagonal = unit ? 'U' : 'N';
    const T one = 1;
    parts(b, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::trsm<T>(&side, &uplo, &how, &diagonal, &b.rows, &b.columns, &one, a[i], &a.lead, b[i], &b.lead, 1, 1, 1,
                        1);
      }
    });
  });
}

void qr(const View& a_view, const View& tau_view) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const Stack<T> tau(tau_view, 1);
    T answer{};
    int ignored = 0;
    lapack::geqrf<T>(&a.rows, &a.columns, nullptr, &a.lead, nullptr, &answer, &kAsk, &ignored);
    const int room = room_of(answer);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Scratch work = room_for<T>(room);
      int info = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::geqrf<T>(&a.rows, &a.columns, a[i], &a.lead, tau[i], work.as<T>(), &room, &info);
      }
    });
  });
}

void orthogonal(const View& a_view, const View& tau_view) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const Stack<T> tau(tau_view, 1);
    T answer{};
    int ignored = 0;
    lapack::orgqr<T>(&a.rows, &a.columns, &tau.rows, nullptr, &a.lead, nullptr, &answer, &kAsk, &ignored);
    const int room = room_of(answer);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Scratch work = room_for<T>(room);
      int info = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::orgqr<T>(&a.rows, &a.columns, &tau.rows, a[i], &a.lead, tau[i], work.as<T>(), &room, &info);
      }
    });
  });
}

void apply_orthogonal(const View& c_view, const View& a_view, const View& tau_view, bool left, Form form) {
  visit(c_view.dtype, [&]<class T>() {
    const Stack<T> c(c_view);
    const Stack<T> a(a_view);
    const Stack<T> tau(tau_view, 1);
    const char side = left ? 'L' : 'R';
    const char how = static_cast<char>(form);
    T answer{};
    int ignored = 0;
    lapack::ormqr<T>(&side, &how, &c.rows, &c.columns, &tau.rows, nullptr, &a.lead, nullptr, nullptr, &c.lead, &answer,
                     &kAsk, &ignored, 1, 1);
    const int room = room_of(answer);
    parts(c, [&](std::int64_t begin, std::int64_t end) {
      const Scratch work = room_for<T>(room);
      int info = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::ormqr<T>(&side, &how, &c.rows, &c.columns, &tau.rows, a[i], &a.lead, tau[i], c[i], &c.lead,
                         work.as<T>(), &room, &info, 1, 1);
      }
    });
  });
}

void ldl(const View& a_view, const View& pivots_view, const View& info, bool) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const Stack<int> pivots(pivots_view, 1);
    const char uplo = 'L';
    T answer{};
    int ignored = 0;
    lapack::sytrf<T>(&uplo, &a.rows, nullptr, &a.lead, nullptr, &answer, &kAsk, &ignored, 1);
    const int room = room_of(answer);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Scratch work = room_for<T>(room);
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::sytrf<T>(&uplo, &a.rows, a[i], &a.lead, pivots[i], work.as<T>(), &room, info.as<int>() + i, 1);
      }
    });
  });
}

void ldl_solve(const View& b_view, const View& ld_view, const View& pivots_view, bool) {
  visit(b_view.dtype, [&]<class T>() {
    const Stack<T> b(b_view);
    const Stack<T> a(ld_view);
    const Stack<int> pivots(pivots_view, 1);
    const char uplo = 'L';
    parts(b, [&](std::int64_t begin, std::int64_t end) {
      int info = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::sytrs<T>(&uplo, &a.rows, &b.columns, a[i], &a.lead, pivots[i], b[i], &b.lead, &info, 1);
      }
    });
  });
}

void eigh(const View& a_view, const View& values_view, const View& info, bool upper, bool vectors) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const Stack<T> values(values_view, 1);
    const char job = vectors ? 'V' : 'N';
    const char uplo = uplo_of(upper);
    T answer{};
    int integer_room = 0;
    int ignored = 0;
    lapack::syevd<T>(&job, &uplo, &a.rows, nullptr, &a.lead, nullptr, &answer, &kAsk, &integer_room, &kAsk, &ignored, 1,
                     1);
    const int room = room_of(answer);
    integer_room = std::max(1, integer_room);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Scratch work = room_for<T>(room);
      const Scratch integers = room_for<int>(integer_room);
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::syevd<T>(&job, &uplo, &a.rows, a[i], &a.lead, values[i], work.as<T>(), &room, integers.as<int>(),
                         &integer_room, info.as<int>() + i, 1, 1);
      }
    });
  });
}

void svd(const View& a_view, const View& u_view, const View& values_view, const View& vh_view, const View& info) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const Stack<T> values(values_view, 1);
    const bool vectors = u_view.data != nullptr;
    const Stack<T> u(vectors ? u_view : a_view);
    const Stack<T> vh(vectors ? vh_view : a_view);
    const char job = !vectors ? 'N' : u.columns == a.rows && vh.rows == a.columns ? 'A' : 'S';
    const int k = std::min(a.rows, a.columns);
    T answer{};
    int ignored = 0;
    lapack::gesdd<T>(&job, &a.rows, &a.columns, nullptr, &a.lead, nullptr, nullptr, &u.lead, nullptr, &vh.lead, &answer,
                     &kAsk, nullptr, &ignored, 1);
    const int room = room_of(answer);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Scratch work = room_for<T>(room);
      const Scratch integers = room_for<int>(8 * static_cast<std::int64_t>(k));
      for (std::int64_t i = begin; i < end; ++i) {
        lapack::gesdd<T>(&job, &a.rows, &a.columns, a[i], &a.lead, values[i], vectors ? u[i] : nullptr, &u.lead,
                         vectors ? vh[i] : nullptr, &vh.lead, work.as<T>(), &room, integers.as<int>(),
                         info.as<int>() + i, 1);
      }
    });
  });
}

// One call of the routine for a method; asks for the room with room = -1.
template <class T>
struct LeastSquaresCall {
  LeastSquares method;
  int m, n, count, lead_a, lead_b;
  T rcond;

  void operator()(T* a, T* b, T* s, int* rank, T* work, int room, int* integers, int* info) const {
    switch (method) {
      case LeastSquares::Gels: {
        const char plain = 'N';
        return lapack::gels<T>(&plain, &m, &n, &count, a, &lead_a, b, &lead_b, work, &room, info, 1);
      }
      case LeastSquares::Gelsy:
        return lapack::gelsy<T>(&m, &n, &count, a, &lead_a, b, &lead_b, integers, &rcond, rank, work, &room, info);
      case LeastSquares::Gelsd:
        return lapack::gelsd<T>(&m, &n, &count, a, &lead_a, b, &lead_b, s, &rcond, rank, work, &room, integers, info);
      case LeastSquares::Gelss:
        return lapack::gelss<T>(&m, &n, &count, a, &lead_a, b, &lead_b, s, &rcond, rank, work, &room, info);
    }
  }
};

void least_squares(const View& b_view, const View& a_view, const View& rank_view, const View& singular_view,
                   const View& info, double rcond, LeastSquares method) {
  visit(b_view.dtype, [&]<class T>() {
    const Stack<T> b(b_view);
    const Stack<T> a(a_view);
    const LeastSquaresCall<T> solve{method, a.rows, a.columns, b.columns, a.lead, b.lead, static_cast<T>(rcond)};
    const int k = std::min(a.rows, a.columns);
    T answer{};
    int integer_room = 0;
    int ignored = 0;
    int rank_ignored = 0;
    solve(nullptr, nullptr, nullptr, &rank_ignored, &answer, kAsk, &integer_room, &ignored);
    const int room = room_of(answer);
    // Only gelsd answers with a number of integers; gelsy orders the columns in them.
    integer_room = std::max(integer_room, a.columns);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Scratch work = room_for<T>(room);
      const Scratch integers = room_for<int>(integer_room);
      const Scratch own_values = room_for<T>(k);
      for (std::int64_t i = begin; i < end; ++i) {
        int rank = 0;
        std::fill_n(integers.as<int>(), integer_room, 0);
        T* values = singular_view.data != nullptr ? singular_view.as<T>() + i * k : own_values.as<T>();
        solve(a[i], b[i], values, &rank, work.as<T>(), room, integers.as<int>(), info.as<int>() + i);
        if (rank_view.data != nullptr) rank_view.as<std::int64_t>()[i] = rank;
      }
    });
  });
}

}  // namespace

const LinalgKernels& linalg_kernels() {
  static constexpr LinalgKernels table = {
      .cholesky = &cholesky,
      .lu = &lu,
      .permutation = &permutation,
      .lu_solve = &lu_solve,
      .triangular_solve = &triangular_solve,
      .qr = &qr,
      .orthogonal = &orthogonal,
      .apply_orthogonal = &apply_orthogonal,
      .ldl = &ldl,
      .ldl_solve = &ldl_solve,
      .eigh = &eigh,
      .svd = &svd,
      .least_squares = &least_squares,
  };
  static const Blas& single_threaded = blas();
  (void)single_threaded;
  return table;
}

}  // namespace fastnn
