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
struct RealOf {
  using Type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
  using Type = T;
};
template <class T>
using Real = typename RealOf<T>::Type;
template <class T>
inline constexpr bool is_real = std::is_same_v<T, Real<T>>;

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
using Gels = void(Text form, Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, T* work, Int room, int* info,
                  Length);
// Those for complex elements have a second workspace, of real numbers.
template <class T>
using Syevd = void(Text job, Text uplo, Int n, T* a, Int lda, T* values, T* work, Int room, int* integers,
                   Int integer_room, int* info, Length, Length);
template <class T>
using Heevd = void(Text job, Text uplo, Int n, T* a, Int lda, Real<T>* values, T* work, Int room, Real<T>* reals,
                   Int real_room, int* integers, Int integer_room, int* info, Length, Length);
template <class T>
using Geev = void(Text left, Text right, Int n, T* a, Int lda, T* real, T* imaginary, T* vl, Int ldvl, T* vr, Int ldvr,
                  T* work, Int room, int* info, Length, Length);
template <class T>
using ComplexGeev = void(Text left, Text right, Int n, T* a, Int lda, T* values, T* vl, Int ldvl, T* vr, Int ldvr,
                         T* work, Int room, Real<T>* reals, int* info, Length, Length);
template <class T>
using Gesdd = void(Text job, Int m, Int n, T* a, Int lda, T* s, T* u, Int ldu, T* vh, Int ldvh, T* work, Int room,
                   int* integers, int* info, Length);
template <class T>
using ComplexGesdd = void(Text job, Int m, Int n, T* a, Int lda, Real<T>* s, T* u, Int ldu, T* vh, Int ldvh, T* work,
                          Int room, Real<T>* reals, int* integers, int* info, Length);
template <class T>
using Gelsy = void(Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, int* order, const T* rcond, int* rank,
                   T* work, Int room, int* info);
template <class T>
using ComplexGelsy = void(Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, int* order, const Real<T>* rcond,
                          int* rank, T* work, Int room, Real<T>* reals, int* info);
template <class T>
using Gelsd = void(Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, T* s, const T* rcond, int* rank, T* work,
                   Int room, int* integers, int* info);
template <class T>
using ComplexGelsd = void(Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, Real<T>* s, const Real<T>* rcond,
                          int* rank, T* work, Int room, Real<T>* reals, int* integers, int* info);
template <class T>
using Gelss = void(Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, T* s, const T* rcond, int* rank, T* work,
                   Int room, int* info);
template <class T>
using ComplexGelss = void(Int m, Int n, Int count, T* a, Int lda, T* b, Int ldb, Real<T>* s, const Real<T>* rcond,
                          int* rank, T* work, Int room, Real<T>* reals, int* info);

// `name<T>` is the routine for elements of type T, `first` and `second` what it is called for these types.
#define FASTNN_ROUTINE(Type, name, T1, first, T2, second) \
  extern "C" Type<T1> FASTNN_LAPACK(first);               \
  extern "C" Type<T2> FASTNN_LAPACK(second);              \
  template <>                                             \
  constexpr Type<T1>* name<T1> = &FASTNN_LAPACK(first);   \
  template <>                                             \
  constexpr Type<T2>* name<T2> = &FASTNN_LAPACK(second)
#define FASTNN_FOR_REAL(Type, name)  \
  template <class T>                 \
  constexpr Type<T>* name = nullptr; \
  FASTNN_ROUTINE(Type, name, float, s##name, double, d##name)
#define FASTNN_FOR_COMPLEX(Type, name, of_complex) \
  template <class T>                               \
  constexpr Type<T>* name = nullptr;               \
  FASTNN_ROUTINE(Type, name, std::complex<float>, c##of_complex, std::complex<double>, z##of_complex)
#define FASTNN_FOR_ALL(Type, name, of_complex) \
  FASTNN_FOR_REAL(Type, name);                 \
  FASTNN_ROUTINE(Type, name, std::complex<float>, c##of_complex, std::complex<double>, z##of_complex)

FASTNN_FOR_ALL(Potrf, potrf, potrf);
FASTNN_FOR_ALL(Getrf, getrf, getrf);
FASTNN_FOR_ALL(Getrs, getrs, getrs);
FASTNN_FOR_ALL(Trsm, trsm, trsm);
FASTNN_FOR_ALL(Geqrf, geqrf, geqrf);
FASTNN_FOR_ALL(Orgqr, orgqr, ungqr);
FASTNN_FOR_ALL(Ormqr, ormqr, unmqr);
FASTNN_FOR_ALL(Sytrf, sytrf, sytrf);
FASTNN_FOR_ALL(Sytrs, sytrs, sytrs);
FASTNN_FOR_COMPLEX(Sytrf, hetrf, hetrf);
FASTNN_FOR_COMPLEX(Sytrs, hetrs, hetrs);
FASTNN_FOR_ALL(Gels, gels, gels);
FASTNN_FOR_REAL(Syevd, syevd);
FASTNN_FOR_COMPLEX(Heevd, heevd, heevd);
FASTNN_FOR_REAL(Geev, geev);
FASTNN_FOR_COMPLEX(ComplexGeev, complex_geev, geev);
FASTNN_FOR_REAL(Gesdd, gesdd);
FASTNN_FOR_COMPLEX(ComplexGesdd, complex_gesdd, gesdd);
FASTNN_FOR_REAL(Gelsy, gelsy);
FASTNN_FOR_COMPLEX(ComplexGelsy, complex_gelsy, gelsy);
FASTNN_FOR_REAL(Gelsd, gelsd);
FASTNN_FOR_COMPLEX(ComplexGelsd, complex_gelsd, gelsd);
FASTNN_FOR_REAL(Gelss, gelss);
FASTNN_FOR_COMPLEX(ComplexGelss, complex_gelss, gelss);
#undef FASTNN_ROUTINE
#undef FASTNN_FOR_REAL
#undef FASTNN_FOR_COMPLEX
#undef FASTNN_FOR_ALL

}  // namespace fastnn::lapack

namespace fastnn {

namespace {

using lapack::is_real;
using lapack::Real;

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
  if (dtype == DType::Complex64) return f.template operator()<std::complex<float>>();
  if (dtype == DType::Complex128) return f.template operator()<std::complex<double>>();
  fail_not_implemented("linalg", dtype);
}

// The room that a routine asked for: a float may have rounded it down.
template <class T>
int room_of(T answer) {
  const Real<T> asked = std::real(answer) * (1 + std::numeric_limits<Real<T>>::epsilon());
  return std::max(1, static_cast<int>(std::ceil(asked)));
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
    const char how = form == Form::Plain ? 'N' : is_real<T> ? 'T' : 'C';
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

template <class T>
lapack::Sytrf<T>* ldl_routine([[maybe_unused]] bool hermitian) {
  if constexpr (!is_real<T>) {
    if (hermitian) return lapack::hetrf<T>;
  }
  return lapack::sytrf<T>;
}
template <class T>
lapack::Sytrs<T>* ldl_solve_routine([[maybe_unused]] bool hermitian) {
  if constexpr (!is_real<T>) {
    if (hermitian) return lapack::hetrs<T>;
  }
  return lapack::sytrs<T>;
}

void ldl(const View& a_view, const View& pivots_view, const View& info, bool hermitian) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const Stack<int> pivots(pivots_view, 1);
    const auto routine = ldl_routine<T>(hermitian);
    const char uplo = 'L';
    T answer{};
    int ignored = 0;
    routine(&uplo, &a.rows, nullptr, &a.lead, nullptr, &answer, &kAsk, &ignored, 1);
    const int room = room_of(answer);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Scratch work = room_for<T>(room);
      for (std::int64_t i = begin; i < end; ++i) {
        routine(&uplo, &a.rows, a[i], &a.lead, pivots[i], work.as<T>(), &room, info.as<int>() + i, 1);
      }
    });
  });
}

void ldl_solve(const View& b_view, const View& ld_view, const View& pivots_view, bool hermitian) {
  visit(b_view.dtype, [&]<class T>() {
    const Stack<T> b(b_view);
    const Stack<T> a(ld_view);
    const Stack<int> pivots(pivots_view, 1);
    const auto routine = ldl_solve_routine<T>(hermitian);
    const char uplo = 'L';
    parts(b, [&](std::int64_t begin, std::int64_t end) {
      int info = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        routine(&uplo, &a.rows, &b.columns, a[i], &a.lead, pivots[i], b[i], &b.lead, &info, 1);
      }
    });
  });
}

// How many elements of each type a routine works in.
struct Room {
  int elements = 1, reals = 1, integers = 1;
};
// That room, for one thread.
template <class T>
struct Workspace {
  explicit Workspace(const Room& room)
      : elements(room_for<T>(room.elements)),
        reals(room_for<Real<T>>(room.reals)),
        integers(room_for<int>(room.integers)) {}
  Scratch elements, reals, integers;
  T* work() const { return elements.as<T>(); }
  Real<T>* real_work() const { return reals.as<Real<T>>(); }
  int* integer_work() const { return integers.as<int>(); }
};

void eigh(const View& a_view, const View& values_view, const View& info, bool upper, bool vectors) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const Stack<Real<T>> values(values_view, 1);
    const char job = vectors ? 'V' : 'N';
    const char uplo = uplo_of(upper);
    const auto call = [&](T* matrix, Real<T>* found, T* work, const int* room, [[maybe_unused]] Real<T>* reals,
                          [[maybe_unused]] const int* real_room, int* integers, const int* integer_room, int* code) {
      if constexpr (is_real<T>) {
        lapack::syevd<T>(&job, &uplo, &a.rows, matrix, &a.lead, found, work, room, integers, integer_room, code, 1, 1);
      } else {
        lapack::heevd<T>(&job, &uplo, &a.rows, matrix, &a.lead, found, work, room, reals, real_room, integers,
                         integer_room, code, 1, 1);
      }
    };
    T answer{};
    Real<T> real_answer{};
    Room room;
    int ignored = 0;
    call(nullptr, nullptr, &answer, &kAsk, &real_answer, &kAsk, &room.integers, &kAsk, &ignored);
    room.elements = room_of(answer);
    room.reals = room_of(real_answer);
    room.integers = std::max(1, room.integers);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Workspace<T> space(room);
      for (std::int64_t i = begin; i < end; ++i) {
        call(a[i], values[i], space.work(), &room.elements, space.real_work(), &room.reals, space.integer_work(),
             &room.integers, info.as<int>() + i);
      }
    });
  });
}

// LAPACK gives conjugate pairs of a real matrix as the real and imaginary parts of the first of the two.
template <class R>
void pair_up(int n, const R* real, const R* imaginary, const R* packed, std::complex<R>* values,
             std::complex<R>* vectors) {
  for (int j = 0; j < n; ++j) values[j] = {real[j], imaginary[j]};
  if (vectors == nullptr) return;
  for (std::int64_t j = 0; j < n; ++j) {
    const bool pair = imaginary[j] != 0 && j + 1 < n;
    for (std::int64_t i = 0; i < n; ++i) {
      const R first = packed[j * n + i];
      const R second = pair ? packed[(j + 1) * n + i] : R(0);
      vectors[j * n + i] = {first, second};
      if (pair) vectors[(j + 1) * n + i] = {first, -second};
    }
    if (pair) ++j;
  }
}

void eig(const View& a_view, const View& values_view, const View& vectors_view, const View& info) {
  visit(a_view.dtype, [&]<class T>() {
    using Complex = std::complex<Real<T>>;
    const Stack<T> a(a_view);
    const Stack<Complex> values(values_view, 1);
    const bool wanted = vectors_view.data != nullptr;
    const View& given = wanted ? vectors_view : a_view;
    const Stack<Complex> vectors(given);
    const int n = a.rows;
    const char none = 'N';
    const char job = wanted ? 'V' : 'N';
    T answer{};
    int ignored = 0;
    if constexpr (is_real<T>) {
      lapack::geev<T>(&none, &job, &n, nullptr, &a.lead, nullptr, nullptr, nullptr, &a.lead, nullptr, &a.lead, &answer,
                      &kAsk, &ignored, 1, 1);
    } else {
      lapack::complex_geev<T>(&none, &job, &n, nullptr, &a.lead, nullptr, nullptr, &a.lead, nullptr, &a.lead, &answer,
                              &kAsk, nullptr, &ignored, 1, 1);
    }
    const int room = room_of(answer);
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Scratch work = room_for<T>(room);
      const Scratch reals = room_for<Real<T>>(2 * static_cast<std::int64_t>(n));
      [[maybe_unused]] const Scratch packed = room_for<T>(static_cast<std::int64_t>(n) * n);
      for (std::int64_t i = begin; i < end; ++i) {
        int* code = info.as<int>() + i;
        Complex* into = wanted ? vectors[i] : nullptr;
        if constexpr (is_real<T>) {
          T* real = reals.as<T>();
          lapack::geev<T>(&none, &job, &n, a[i], &a.lead, real, real + n, nullptr, &a.lead, packed.as<T>(), &a.lead,
                          work.as<T>(), &room, code, 1, 1);
          pair_up(n, real, real + n, packed.as<T>(), values[i], into);
        } else {
          lapack::complex_geev<T>(&none, &job, &n, a[i], &a.lead, values[i], nullptr, &a.lead, into, &a.lead,
                                  work.as<T>(), &room, reals.as<Real<T>>(), code, 1, 1);
        }
      }
    });
  });
}

void svd(const View& a_view, const View& u_view, const View& values_view, const View& vh_view, const View& info) {
  visit(a_view.dtype, [&]<class T>() {
    const Stack<T> a(a_view);
    const Stack<Real<T>> values(values_view, 1);
    const bool vectors = u_view.data != nullptr;
    const Stack<T> u(vectors ? u_view : a_view);
    const Stack<T> vh(vectors ? vh_view : a_view);
    const char job = !vectors ? 'N' : u.columns == a.rows && vh.rows == a.columns ? 'A' : 'S';
    const auto call = [&](T* matrix, Real<T>* s, T* left, T* right, T* work, const int* room,
                          [[maybe_unused]] Real<T>* reals, int* integers, int* code) {
      if constexpr (is_real<T>) {
        lapack::gesdd<T>(&job, &a.rows, &a.columns, matrix, &a.lead, s, left, &u.lead, right, &vh.lead, work, room,
                         integers, code, 1);
      } else {
        lapack::complex_gesdd<T>(&job, &a.rows, &a.columns, matrix, &a.lead, s, left, &u.lead, right, &vh.lead, work,
                                 room, reals, integers, code, 1);
      }
    };
    T answer{};
    int ignored = 0;
    call(nullptr, nullptr, nullptr, nullptr, &answer, &kAsk, nullptr, nullptr, &ignored);
    const std::int64_t k = std::min(a.rows, a.columns);
    const std::int64_t longer = std::max(a.rows, a.columns);
    const Room room{room_of(answer), narrow(k * std::max(5 * k + 7, 2 * longer + 2 * k + 1)), narrow(8 * k)};
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Workspace<T> space(room);
      for (std::int64_t i = begin; i < end; ++i) {
        call(a[i], values[i], vectors ? u[i] : nullptr, vectors ? vh[i] : nullptr, space.work(), &room.elements,
             space.real_work(), space.integer_work(), info.as<int>() + i);
      }
    });
  });
}

// One call of the routine for a method; asks for the room with room = -1.
template <class T>
struct LeastSquaresCall {
  LeastSquares method;
  int m, n, count, lead_a, lead_b;
  Real<T> rcond;

  void operator()(T* a, T* b, Real<T>* s, int* rank, T* work, int room, [[maybe_unused]] Real<T>* reals, int* integers,
                  int* info) const {
    if (method == LeastSquares::Gels) {
      const char plain = 'N';
      return lapack::gels<T>(&plain, &m, &n, &count, a, &lead_a, b, &lead_b, work, &room, info, 1);
    }
    if constexpr (is_real<T>) {
      if (method == LeastSquares::Gelsy) {
        lapack::gelsy<T>(&m, &n, &count, a, &lead_a, b, &lead_b, integers, &rcond, rank, work, &room, info);
      } else if (method == LeastSquares::Gelsd) {
        lapack::gelsd<T>(&m, &n, &count, a, &lead_a, b, &lead_b, s, &rcond, rank, work, &room, integers, info);
      } else {
        lapack::gelss<T>(&m, &n, &count, a, &lead_a, b, &lead_b, s, &rcond, rank, work, &room, info);
      }
    } else {
      if (method == LeastSquares::Gelsy) {
        lapack::complex_gelsy<T>(&m, &n, &count, a, &lead_a, b, &lead_b, integers, &rcond, rank, work, &room, reals,
                                 info);
      } else if (method == LeastSquares::Gelsd) {
        lapack::complex_gelsd<T>(&m, &n, &count, a, &lead_a, b, &lead_b, s, &rcond, rank, work, &room, reals, integers,
                                 info);
      } else {
        lapack::complex_gelss<T>(&m, &n, &count, a, &lead_a, b, &lead_b, s, &rcond, rank, work, &room, reals, info);
      }
    }
  }
};

void least_squares(const View& b_view, const View& a_view, const View& rank_view, const View& singular_view,
                   const View& info, double rcond, LeastSquares method) {
  visit(b_view.dtype, [&]<class T>() {
    const Stack<T> b(b_view);
    const Stack<T> a(a_view);
    const LeastSquaresCall<T> solve{method, a.rows, a.columns, b.columns, a.lead, b.lead, static_cast<Real<T>>(rcond)};
    const int k = std::min(a.rows, a.columns);
    T answer{};
    Real<T> real_answer{};
    Room room;
    int ignored = 0;
    int rank_ignored = 0;
    solve(nullptr, nullptr, nullptr, &rank_ignored, &answer, kAsk, &real_answer, &room.integers, &ignored);
    room.elements = room_of(answer);
    // Only gelsd answers with these; the others want 2 n or 5 k reals, and gelsy orders the columns in its integers.
    room.reals = std::max({room_of(real_answer), 2 * a.columns, 5 * k});
    room.integers = std::max({1, room.integers, a.columns});
    parts(a, [&](std::int64_t begin, std::int64_t end) {
      const Workspace<T> space(room);
      const Scratch own_values = room_for<Real<T>>(k);
      for (std::int64_t i = begin; i < end; ++i) {
        int rank = 0;
        std::fill_n(space.integer_work(), room.integers, 0);
        auto* values = singular_view.data != nullptr ? singular_view.as<Real<T>>() + i * k : own_values.as<Real<T>>();
        solve(a[i], b[i], values, &rank, space.work(), room.elements, space.real_work(), space.integer_work(),
              info.as<int>() + i);
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
      .eig = &eig,
      .svd = &svd,
      .least_squares = &least_squares,
  };
  static const Blas& single_threaded = blas();
  (void)single_threaded;
  return table;
}

}  // namespace fastnn
