// Sampling of images at the places of a grid.
#include "autograd/engine.h"
#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/algebra.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

// --- the composition -------------------------------------------------------------------------------------------------

Tensor clipped(const Tensor& at, std::int64_t size) {
  return clamp(at, Scalar(0.0), Scalar(static_cast<double>(size - 1)));
}

// Mirrored at the borders until it is inside.
Tensor reflected(const Tensor& at, std::int64_t size, bool align_corners) {
  const double low = align_corners ? 0 : -0.5;
  const auto span = static_cast<double>(align_corners ? size - 1 : size);
  if (span == 0) return at * 0.0;
  const Tensor distance = abs(at - low);
  const Tensor flips = floor(detach(distance) / span);
  const Tensor extra = distance - flips * span;
  const Tensor odd = ne(remainder(flips, Scalar(2).wrapped()), Scalar(0).wrapped());
  return where(odd, span - extra, extra) + low;
}

Tensor moved_inside(const Tensor& at, std::int64_t size, const SampleOptions& o) {
  if (o.padding == SamplePadding::Zeros) return at;
  return clipped(o.padding == SamplePadding::Reflection ? reflected(at, size, o.align_corners) : at, size);
}

struct Tap {
  Tensor at;  // an integer in a floating dtype
  Tensor weight;
};

// Keys' cubic convolution with a = -0.75, at distances below 1 and below 2.
Tensor cubic_near(const Tensor& d) { return (1.25 * d - 2.25) * d * d + 1.0; }
Tensor cubic_far(const Tensor& d) { return ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0; }

// The taps along one axis for coordinates in [-1, 1].
std::vector<Tap> axis_taps(const Tensor& coordinate, std::int64_t size, const SampleOptions& o) {
  const auto n = static_cast<double>(size);
  Tensor at = o.align_corners ? (coordinate + 1.0) * ((n - 1) / 2) : ((coordinate + 1.0) * n - 1.0) / 2.0;
  if (o.mode != SampleMode::Cubic) at = moved_inside(at, size, o);
  if (o.mode == SampleMode::Nearest) return {{round(detach(at)), Tensor()}};
  const Tensor low = floor(detach(at));
  const Tensor t = at - low;
  if (o.mode == SampleMode::Linear) return {{low, 1.0 - t}, {low + 1.0, t}};
  return {{moved_inside(low - 1.0, size, o), cubic_far(t + 1.0)},
          {moved_inside(low, size, o), cubic_near(t)},
          {moved_inside(low + 1.0, size, o), cubic_near(1.0 - t)},
          {moved_inside(low + 2.0, size, o), cubic_far(2.0 - t)}};
}

// image [batch, channels, sizes...], grid [batch, points, coordinates] -> [batch, channels, points].
Tensor composed(const Tensor& image, const Tensor& grid, const SampleOptions& o) {
  const Dims& sizes = image.sizes();
  const Tensor flat = flatten(image, 2);
  const Dims picked{sizes[0], sizes[1], grid.sizes()[1]};
  // Places and weights of all taps, axis by axis: the first coordinate belongs to the last size.
  std::vector<Tap> taps{{zeros(Dims{sizes[0], grid.sizes()[1]}, grid.dtype()), Tensor()}};
  std::vector<Tensor> inside{Tensor()};
  for (int d = 2; d < image.ndim(); ++d) {
    std::vector<Tap> longer;
    std::vector<Tensor> longer_inside;
    const auto n = static_cast<double>(sizes[d]);
    for (const Tap& next : axis_taps(select(grid, 2, image.ndim() - 1 - d), sizes[d], o)) {
      const Tensor valid = logical_and(ge(next.at, Scalar(0).wrapped()), lt(next.at, Scalar(n).wrapped()));
      for (std::size_t k = 0; k < taps.size(); ++k) {
        longer.push_back({taps[k].at * n + next.at, !next.weight.defined()     ? Tensor()
                                                    : taps[k].weight.defined() ? taps[k].weight * next.weight
                                                                               : next.weight});
        longer_inside.push_back(inside[k].defined() ? logical_and(inside[k], valid) : valid);
      }
    }
    taps = std::move(longer);
    inside = std::move(longer_inside);
  }
  Tensor sum;
  for (std::size_t k = 0; k < taps.size(); ++k) {
    const Tensor outside = logical_not(inside[k]);
    const Tensor place = to_dtype(masked_fill(detach(taps[k].at), outside, Scalar(0)), DType::Int64);
    Tensor term = gather(flat, 2, expand(unsqueeze(place, 1), picked));
    term = masked_fill(term, unsqueeze(outside, 1), Scalar(0));
    if (taps[k].weight.defined()) term = term * unsqueeze(taps[k].weight, 1);
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

// --- the kernels -----------------------------------------------------------------------------------------------------

Tensor dense(const Tensor& t) { return t.is_contiguous() ? t : contiguous(t.detached()); }

void fused_gradients(const Tensor& given, const Tensor& image, const Tensor& grid, const SampleOptions& o, Slots& d) {
  const Tensor g = dense(given);
  const Tensor x = dense(image);
  const Tensor places = dense(grid);
  View views[2];
  const Tensor* inputs[] = {&image, &grid};
  for (std::size_t i = 0; i < 2; ++i) {
    if (!d.wants(i)) continue;
    d[i] = Tensor::empty(inputs[i]->sizes(), inputs[i]->dtype());
    views[i] = d[i].view();
  }
  if (LaunchCount::counting) ++LaunchCount::value;
  kernels().grid_sample->backward(d.wants(0) ? &views[0] : nullptr, d.wants(1) ? &views[1] : nullptr, g.view(),
                                  x.view(), places.view(), o);
}

// Those of the composition, which can be differentiated again.
void differentiable_gradients(const Tensor& g, const Tensor& image, const Tensor& grid, const SampleOptions& o,
                              Slots& d) {
  const Tensor root = composed(image, grid, o);
  std::vector<Tensor> wanted;
  for (std::size_t i = 0; i < 2; ++i) {
    if (d.wants(i)) wanted.push_back(i == 0 ? image : grid);
  }
  if (!root.requires_grad()) return;
  const std::vector<Tensor> found =
      run_backward(std::span(&root, 1), std::span(&g, 1),
                   {.retain_graph = true, .create_graph = true, .inputs = wanted, .capture = true});
  std::size_t next = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    if (!d.wants(i)) continue;
    d[i] = found[next++];
    if (!d[i].defined()) d[i] = zeros_like(i == 0 ? image : grid);
  }
}

Tensor sample(const Tensor& image, const Tensor& grid, const SampleOptions& o) {
  Tensor out = Tensor::empty(Dims{image.sizes()[0], image.sizes()[1], grid.sizes()[1]}, image.dtype());
  const Tensor x = dense(image);
  const Tensor places = dense(grid);
  if (LaunchCount::counting) ++LaunchCount::value;
  kernels().grid_sample->forward(out.view(), x.view(), places.view(), o);
  if (needs_grad(image, grid)) {
    record(image.ndim() == 4 ? "GridSampler2DBackward0" : "GridSampler3DBackward0", out, {&image, &grid},
           [sx = save(image), sg = save(grid), o](const Tensor& g, Slots& d) {
             (grad_mode().enabled ? differentiable_gradients : fused_gradients)(g, sx.get(), sg.get(), o, d);
           });
  }
  return out;
}

// --- the public signatures -------------------------------------------------------------------------------------------

SampleOptions options_of(std::string_view mode, std::string_view padding_mode, bool align_corners) {
  FASTNN_CHECK(mode == "bilinear" || mode == "nearest" || mode == "bicubic", ErrorKind::Value,
               "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '", mode,
               "'");
  FASTNN_CHECK(
      padding_mode == "zeros" || padding_mode == "border" || padding_mode == "reflection", ErrorKind::Value,
      "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: '",
      padding_mode, "'");
  return {mode == "nearest"   ? SampleMode::Nearest
          : mode == "bicubic" ? SampleMode::Cubic
                              : SampleMode::Linear,
          padding_mode == "zeros"    ? SamplePadding::Zeros
          : padding_mode == "border" ? SamplePadding::Border
                                     : SamplePadding::Reflection,
          align_corners};
}

void check(const Tensor& input, const Tensor& grid, const SampleOptions& o) {
  const int spatial = input.ndim() - 2;
  FASTNN_CHECK((spatial == 2 || spatial == 3) && grid.ndim() == input.ndim(), ErrorKind::Runtime,
               "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with "
               "sizes ",
               input.sizes(), " and grid with sizes ", grid.sizes());
  FASTNN_CHECK(input.sizes()[0] == grid.sizes()[0], ErrorKind::Runtime,
               "grid_sampler(): expected grid and input to have same batch size, but got input with sizes ",
               input.sizes(), " and grid with sizes ", grid.sizes());
  FASTNN_CHECK(grid.sizes().back() == spatial, ErrorKind::Runtime, "grid_sampler(): expected grid to have size ",
               spatial, " in last dimension, but got grid with sizes ", grid.sizes());
  for (int d = 2; d < input.ndim(); ++d) {
    FASTNN_CHECK(input.sizes()[d] > 0, ErrorKind::Runtime,
                 "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes ",
                 input.sizes(), " with dimension ", d, " being empty");
  }
  FASTNN_CHECK(spatial == 2 || o.mode != SampleMode::Cubic, ErrorKind::Runtime,
               "grid_sampler(): bicubic interpolation only supports 4D input");
  if (!input.is_floating()) fail_not_implemented("grid_sample", input.dtype());
  FASTNN_CHECK(input.dtype() == grid.dtype(), ErrorKind::Runtime,
               "grid_sampler(): expected input and grid to have the "
               "same dtype, but got ",
               input.dtype(), " and ", grid.dtype());
}

Tensor grid_sample(const Tensor& input, const Tensor& grid, std::string_view mode, std::string_view padding_mode,
                   std::optional<bool> align_corners) {
  const SampleOptions o = options_of(mode, padding_mode, align_corners.value_or(false));
  check(input, grid, o);
  const DType compute = compute_type(input.dtype());
  Dims sizes{input.sizes()[0], input.sizes()[1]};
  for (int d = 1; d < grid.ndim() - 1; ++d) sizes.push_back(grid.sizes()[d]);
  const Dims flat{sizes[0], product(sizes) / std::max<std::int64_t>(sizes[0] * sizes[1], 1), grid.sizes().back()};
  if (product(sizes) == 0) return zeros(sizes, input.dtype()) + sum(input) * 0.0 + sum(grid) * 0.0;
  const Tensor out = sample(to_dtype(input, compute), reshape(to_dtype(grid, compute), flat), o);
  return to_dtype(reshape(out, sizes), input.dtype());
}

// The places of the elements along one axis of the result.
Tensor linspace_of(std::int64_t size, bool align_corners, DType dtype) {
  Tensor places = Tensor::empty(Dims{size}, DType::Float64);
  const auto n = static_cast<double>(size);
  for (std::int64_t i = 0; i < size; ++i) {
    const auto at = static_cast<double>(2 * i);
    places.as<double>()[i] = size == 1 ? 0 : align_corners ? at / (n - 1) - 1 : (at + 1) / n - 1;
  }
  return to_dtype(places, dtype);
}

// theta [batch, d, d + 1] -> [batch, size..., d].
Tensor affine_grid(const Tensor& theta, IntSpan size, std::optional<bool> align_corners) {
  const int spatial = static_cast<int>(size.size()) - 2;
  FASTNN_CHECK(theta.is_floating(), ErrorKind::Value, "Expected theta to have floating point type, but got ",
               theta.dtype());
  FASTNN_CHECK(spatial == 2 || spatial == 3, ErrorKind::NotImplemented,
               "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size ",
               Dims(size), ".");
  FASTNN_CHECK(theta.ndim() == 3 && theta.sizes()[1] == spatial && theta.sizes()[2] == spatial + 1, ErrorKind::Value,
               "Expected a batch of ", spatial, "D affine matrices of shape Nx", spatial, "x", spatial + 1,
               " for size ", Dims(size), ". Got ", theta.sizes(), ".");
  for (const std::int64_t n : size) {
    FASTNN_CHECK(n > 0, ErrorKind::Value, "Expected non-zero, positive output size. Got ", Dims(size));
  }
  Dims shape;
  for (int d = 0; d < spatial; ++d) shape.push_back(size[static_cast<std::size_t>(2 + d)]);
  std::vector<Tensor> coordinates;  // the last size first, then ones
  for (int d = spatial - 1; d >= 0; --d) {
    Dims own = Dims::filled(spatial, 1);
    own[d] = shape[d];
    const Tensor places = linspace_of(shape[d], align_corners.value_or(false), theta.dtype());
    coordinates.push_back(expand(reshape(places, own), shape));
  }
  coordinates.push_back(ones(shape, theta.dtype()));
  const Tensor base = reshape(stack(coordinates, -1), Dims{1, product(shape), spatial + 1});
  const Tensor grid = matmul(base, transpose(theta, 1, 2));
  Dims result{theta.sizes()[0]};
  for (const std::int64_t n : shape) result.push_back(n);
  result.push_back(spatial);
  return reshape(grid, result);
}

}  // namespace

FASTNN_OPS(grid_sample) {
  op("nn._grid_sample(Tensor input, Tensor grid, str mode='bilinear', str padding_mode='zeros', bool? "
     "align_corners=None) -> Tensor",
     &grid_sample, op_fn);
  op("nn._affine_grid(Tensor theta, int[] size, bool? align_corners=None) -> Tensor", &affine_grid, op_fn);
}

}  // namespace fastnn
