"""The backward graph: accumulation, hooks, modes, in-place writes, views, custom functions, memory."""

from __future__ import annotations

import gc
import math
import threading
import warnings
import weakref

import pytest

import fastnn
from fastnn import autograd
from fastnn.autograd import Function, gradcheck, gradgradcheck

pytestmark = pytest.mark.asan


def leaf(*values):
    return fastnn.tensor(list(values), dtype=fastnn.float64, requires_grad=True)


# --- running --------------------------------------------------------------------------------------------------------


def test_gradients_accumulate():
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_a_tensor_used_twice_sums_its_gradients():
    x = leaf(2.0)
    y = x * x + x
    y.backward()
    assert x.grad.tolist() == [5.0]


def test_broadcast_gradients_are_summed_to_the_shape_of_the_input():
    a = fastnn.ones(2, 3, requires_grad=True)
    b = fastnn.ones(3, requires_grad=True)
    c = fastnn.ones((), requires_grad=True)
    (a * b * c).sum().backward()
    assert a.grad.shape == (2, 3)
    assert b.grad.tolist() == [2.0, 2.0, 2.0]
    assert c.grad.item() == 6.0


def test_gradients_have_the_dtype_of_their_tensor():
    a = fastnn.ones(2, dtype=fastnn.float32, requires_grad=True)
    b = fastnn.ones(2, dtype=fastnn.float64, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.dtype == fastnn.float32
    assert b.grad.dtype == fastnn.float64


def test_backward_needs_a_scalar_or_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        (x * 2).backward()
    (x * 2).backward(fastnn.tensor([1.0, 10.0], dtype=fastnn.float64))
    assert x.grad.tolist() == [2.0, 20.0]
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(fastnn.ones(3, dtype=fastnn.float64))


def test_backward_without_graph_is_an_error():
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        fastnn.ones(1).backward()


def test_graph_is_freed_after_backward_unless_retained():
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    assert x.grad.tolist() == [12.0]


def test_backward_only_into_chosen_inputs():
    a, b = leaf(2.0), leaf(3.0)
    middle = a * b
    (middle * middle).sum().backward(inputs=[a])
    assert a.grad.tolist() == [36.0]
    assert b.grad is None


def test_grad_returns_and_does_not_touch_the_leaves():
    a, b = leaf(2.0), leaf(3.0)
    middle = a * b
    out = (middle * middle).sum()
    ga, gm = autograd.grad(out, (a, middle), retain_graph=True)
    assert (ga.item(), gm.item()) == (36.0, 12.0)
    assert a.grad is None
    assert b.grad is None
    unused = leaf(1.0)
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        autograd.grad(out, (unused,), retain_graph=True)
    assert autograd.grad(out, (unused,), allow_unused=True, retain_graph=True) == (None,)
    assert autograd.grad(out, (unused,), materialize_grads=True)[0].tolist() == [0.0]


def test_batched_gradients_are_the_rows_of_the_jacobian():
    x = leaf(1.0, 2.0)
    rows = autograd.grad(x * x, x, fastnn.eye(2, dtype=fastnn.float64), is_grads_batched=True)[0]
    assert rows.tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_derivatives_of_any_order():
    x = leaf(0.5)
    value = x.exp() * x
    for order in range(4):
        assert value.item() == pytest.approx(math.exp(0.5) * (0.5 + order), rel=1e-12)
        (value,) = autograd.grad(value.sum(), x, create_graph=True)


def test_double_backward_through_a_penalty():
    x = fastnn.randn(4, 3, dtype=fastnn.float64, requires_grad=True)
    w = fastnn.randn(3, 2, dtype=fastnn.float64, requires_grad=True)
    (g,) = autograd.grad((x @ w).tanh().sum(), x, create_graph=True)
    (g * g).sum().backward()
    assert w.grad.abs().sum().item() > 0
    assert gradgradcheck(lambda a, b: (a @ b).tanh(), (x, w))


def test_long_chains_need_no_stack():
    x = leaf(0.0)
    y = x
    for _ in range(1_000_000):
        y = y + x
    y.backward()
    assert x.grad.tolist() == [1_000_001.0]
    del y
    gc.collect()


def test_a_dropped_long_chain_is_freed_without_recursion():
    y = leaf(1.0)
    for _ in range(300_000):
        y = y + 1.0
    del y


# --- modes ----------------------------------------------------------------------------------------------------------


def test_grad_modes_nest_and_restore():
    x = leaf(1.0)
    with fastnn.no_grad():
        assert not (x * 2).requires_grad
        with fastnn.enable_grad():
            assert (x * 2).requires_grad
        assert not fastnn.is_grad_enabled()
    assert fastnn.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), fastnn.no_grad():
        1 / 0  # noqa: B018
    assert fastnn.is_grad_enabled()
    previous = fastnn.set_grad_enabled(False)
    assert not fastnn.is_grad_enabled()
    fastnn.set_grad_enabled(True)
    assert previous.prev is True


def test_modes_decorate_functions_and_generators():
    @fastnn.no_grad()
    def function():
        return fastnn.is_grad_enabled()

    @fastnn.no_grad
    def bare():
        return fastnn.is_grad_enabled()

    @fastnn.no_grad()
    def generator():
        yield fastnn.is_grad_enabled()

    assert function() is False
    assert bare() is False
    inside = generator()
    assert next(inside) is False
    assert fastnn.is_grad_enabled()


def test_grad_mode_is_of_one_thread():
    seen = []
    with fastnn.no_grad():
        thread = threading.Thread(target=lambda: seen.append(fastnn.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_inference_tensors_stay_out_of_graphs():
    with fastnn.inference_mode():
        x = fastnn.ones(2)
    assert x.is_inference()
    with pytest.raises(RuntimeError, match="inference"):
        x.requires_grad = True
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        x.add_(1)
    w = fastnn.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        x * w


def test_detach_shares_memory_and_stops_gradients():
    x = leaf(1.0, 2.0)
    y = x.detach()
    assert not y.requires_grad
    assert y.data_ptr() == x.data_ptr()
    z = (x * y).sum()
    z.backward()
    assert x.grad.tolist() == [1.0, 2.0]


# --- hooks ----------------------------------------------------------------------------------------------------------


def test_tensor_hooks_edit_gradients_and_can_be_removed():
    x = leaf(1.0)
    seen = []
    first = x.register_hook(lambda g: seen.append(g.item()))
    second = x.register_hook(lambda g: g * 10)
    (x * 2).sum().backward()
    assert seen == [2.0]
    assert x.grad.item() == 20.0
    first.remove()
    second.remove()
    (x * 2).sum().backward()
    assert seen == [2.0]
    assert x.grad.item() == 22.0


def test_hooks_of_inner_tensors_and_retained_gradients():
    x = leaf(3.0)
    y = x * 2
    y.register_hook(lambda g: g + 1)
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.item() == 13.0
    assert x.grad.item() == 26.0


def test_post_accumulate_hooks_see_the_leaf():
    x = leaf(1.0)
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append((p is x, p.grad.item())))
    (x * 4).sum().backward()
    assert seen == [(True, 4.0)]


def test_node_hooks():
    x = leaf(2.0)
    y = x * 3
    pre, post = [], []
    y.grad_fn.register_prehook(lambda grads: pre.append(grads[0].item()))
    y.grad_fn.register_hook(lambda inputs, outputs: post.append((inputs[0].item(), outputs[0].item())))
    y.sum().backward()
    assert pre == [1.0]
    assert post == [(3.0, 1.0)]


def test_an_exception_in_a_hook_reaches_the_caller_and_leaves_the_engine_usable():
    x = leaf(1.0)
    handle = x.register_hook(lambda g: 1 / 0)
    y = (x * 2).sum()
    with pytest.raises(ZeroDivisionError):
        y.backward(retain_graph=True)
    handle.remove()
    y.backward()
    assert x.grad.item() == 2.0


def test_backward_inside_a_hook():
    x = leaf(2.0)
    other = leaf(5.0)

    def hook(g):
        with fastnn.enable_grad():
            (other * other).sum().backward()
        return g

    x.register_hook(hook)
    (x * 3).sum().backward()
    assert other.grad.item() == 10.0
    assert x.grad.item() == 3.0


def test_graph_is_visible():
    x = leaf(1.0)
    y = (x * 2 + 1).sum()
    assert y.grad_fn.name() == "SumBackward0"
    add, slot = y.grad_fn.next_functions[0]
    assert add.name() == "AddBackward0"
    assert slot == 0
    mul = add.next_functions[0][0]
    accumulate = mul.next_functions[0][0]
    assert accumulate.variable is x
    assert add.next_functions[1][0] is None
    assert x.grad_fn is None
    assert x.is_leaf
    assert not y.is_leaf


# --- in place and views ---------------------------------------------------------------------------------------------


def test_in_place_on_a_leaf_that_requires_grad_is_refused():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        x[0:1].mul_(2)
    assert x.tolist() == [1.0]
    with fastnn.no_grad():
        x.add_(1)
    assert x.tolist() == [2.0]


def test_writing_what_backward_needs_is_an_error():
    x = leaf(2.0)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
    w = leaf(2.0)
    e = w.exp()
    out = e.sum()
    e.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_writing_through_data_is_not_seen():
    x = leaf(2.0)
    y = x * 1
    z = (y * y).sum()
    y.data.add_(1)
    z.backward()
    assert x.grad.item() == 6.0


def test_in_place_history():
    x = leaf(3.0)
    y = x * 2
    y.mul_(x)
    y.add_(1)
    y.sum().backward()
    assert x.grad.item() == 12.0


def test_in_place_on_a_tensor_without_gradient_by_one_with():
    x = fastnn.zeros(2, dtype=fastnn.float64)
    w = leaf(1.0, 2.0)
    x.add_(w)
    assert x.requires_grad
    (x * x).sum().backward()
    assert w.grad.tolist() == [2.0, 4.0]


def test_in_place_on_views_rewrites_the_history_of_the_base():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    part = y[1:]
    part.mul_(x[1:])
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 8.0, 12.0]


def test_a_view_sees_writes_to_its_base():
    x = leaf(1.0, 2.0)
    y = x * 1
    view = y[0]
    y.mul_(3)
    view.backward()
    assert x.grad.tolist() == [3.0, 0.0]


def test_base_without_gradient_gets_history_through_a_view():
    buffer = fastnn.zeros(3, dtype=fastnn.float64)
    w = leaf(4.0)
    buffer[1:2] = w
    buffer[2] = w[0] * 2
    assert buffer.requires_grad
    (buffer * buffer).sum().backward()
    assert w.grad.tolist() == [8.0 + 32.0]


def test_setitem_with_masks_and_indices():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    y[y > 1.5] = 0.0
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 0.0]
    z = x.detach().clone().requires_grad_() * 1
    z[fastnn.tensor([0, 0])] = 5.0
    assert z.tolist() == [5.0, 2.0, 3.0]


@pytest.mark.parametrize("write", ["copy_", "add_", "fill_"])
def test_gradients_of_chosen_inputs_pass_through_a_written_view(write):
    # The function of such a view is made later than the functions that use it.
    b = leaf(2.0, 3.0) if write != "fill_" else leaf(2.0).sum()
    x = fastnn.zeros(3, 2, dtype=fastnn.float64)[0]
    c = leaf(5.0, 7.0)
    getattr(x, write)(b)
    of_b, of_c = fastnn.autograd.grad((x * c).sum(), [b, c])
    assert of_b.tolist() == ([5.0, 7.0] if write != "fill_" else 12.0)
    assert of_c.tolist() == ([2.0, 3.0] if write != "fill_" else [2.0, 2.0])


def test_multi_output_views_may_not_be_written():
    x = leaf(1.0, 2.0)
    a, _ = (x * 1).split(1)
    with pytest.raises(RuntimeError, match="multiple views"):
        a.add_(1)


def test_in_place_shape_changes_keep_the_history():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.unsqueeze_(0)
    assert y.shape == (1, 2)
    y.t_()
    (y * y).sum().backward()
    assert x.grad.tolist() == [8.0, 16.0]


def test_wrong_in_place_arguments_change_nothing():
    x = fastnn.ones(2)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        x.add_(fastnn.ones(3, 2))
    i = fastnn.tensor([1, 2])
    with pytest.raises(RuntimeError, match="can't be cast"):
        i.add_(1.5)
    assert x.tolist() == [1.0, 1.0]
    assert i.tolist() == [1, 2]
    assert i._version == 0


# --- custom functions -----------------------------------------------------------------------------------------------


class Cube(Function):
    @staticmethod
    def forward(ctx, x, scale=1.0):
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x**3 * scale

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x * x * ctx.scale, None


def test_custom_function_and_its_second_derivative():
    x = leaf(2.0, -1.0)
    y = Cube.apply(x, 2.0)
    assert y.tolist() == [16.0, -2.0]
    assert y.grad_fn.name() == "CubeBackward"
    (g,) = autograd.grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [24.0, 6.0]
    (gg,) = autograd.grad(g.sum(), x)
    assert gg.tolist() == [24.0, -12.0]
    assert gradcheck(lambda t: Cube.apply(t, 0.5), (x,))


def test_custom_function_that_saves_its_output_makes_no_cycle():
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            out = x.exp()
            ctx.save_for_backward(out)
            return out

        @staticmethod
        def backward(ctx, grad):
            (out,) = ctx.saved_tensors
            return grad * out

    x = leaf(0.5)
    y = Exp.apply(x)
    (g,) = autograd.grad(y, x, create_graph=True)
    (gg,) = autograd.grad(g, x)
    assert gg.item() == pytest.approx(math.exp(0.5))
    gc.collect()
    gc.disable()
    try:
        before = fastnn.memory_stats()["allocated_bytes"]
        for _ in range(50):
            Exp.apply(leaf(*range(1000))).sum().backward()
        assert fastnn.memory_stats()["allocated_bytes"] - before < 100_000
    finally:
        gc.enable()


def test_custom_function_details():
    class Two(Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.mark_non_differentiable(places := (a > b))
            assert ctx.needs_input_grad == (True, False)
            return a * b, places

        @staticmethod
        def backward(ctx, grad, unused):
            assert unused.tolist() == [False, False]
            return grad * 2, None

    a = leaf(1.0, 5.0)
    out, places = Two.apply(a, fastnn.tensor([2.0, 2.0], dtype=fastnn.float64))
    assert not places.requires_grad
    out.sum().backward()
    assert a.grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="should not be instantiated"):
        Two()

    class Wrong(Function):
        @staticmethod
        def forward(ctx, a):
            return a * 1

        @staticmethod
        def backward(ctx, grad):
            return grad, grad

    with pytest.raises(RuntimeError, match="incorrect number of gradients"):
        Wrong.apply(a).sum().backward()


def test_once_differentiable():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @autograd.function.once_differentiable
        def backward(ctx, grad):
            return grad * 2 * ctx.saved_tensors[0]

    x = leaf(3.0)
    (g,) = autograd.grad((Square.apply(x) * x).sum(), x, create_graph=True)
    assert g.tolist() == [27.0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_setup_context_style():
    class Scale(Function):
        @staticmethod
        def forward(x, k):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.k = inputs[1]

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.k, None

    x = leaf(1.0)
    Scale.apply(x, 7.0).sum().backward()
    assert x.grad.tolist() == [7.0]


# --- checks and anomalies -------------------------------------------------------------------------------------------


def test_gradcheck_notices_a_wrong_derivative():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0]

    x = leaf(1.0, 2.0)
    with pytest.raises(autograd.GradcheckError, match="Jacobian mismatch"):
        gradcheck(Wrong.apply, (x,))
    assert gradcheck(Wrong.apply, (x,), raise_exception=False) is False
    with pytest.raises(ValueError, match="at least one input tensor"):
        gradcheck(Wrong.apply, (x.detach(),))


def test_anomaly_mode_shows_the_line_of_the_forward_operation():
    x = leaf(-1.0)
    with autograd.detect_anomaly(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bad = x.sqrt()  # the line that must be shown
        with pytest.raises(RuntimeError, match="returned nan values"):
            (bad * 0).sum().backward()
    text = "".join(str(one.message) for one in caught)
    assert "the line that must be shown" in text
    assert not fastnn.is_anomaly_enabled()


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_nothing_is_saved_for_what_needs_no_gradient():
    x = fastnn.randn(64, 64)
    frozen = fastnn.randn(64, 64)
    trained = fastnn.randn(64, 64, requires_grad=True)
    fastnn._C._count_saved_bytes(True)
    try:
        kept = [x @ frozen]
        assert fastnn._C._saved_bytes() == 0
        kept.append(x @ trained)  # keeps x for the gradient of the weight, and nothing else
        assert fastnn._C._saved_bytes() == 64 * 64 * 4
        hidden = kept[-1]
        kept.append(hidden @ frozen)  # keeps the frozen weight for the gradient of its input
        assert fastnn._C._saved_bytes() == 2 * 64 * 64 * 4
        kept.append(hidden + frozen)
        assert fastnn._C._saved_bytes() == 2 * 64 * 64 * 4
        hidden.sum().backward()
        kept.clear()
        del hidden
        assert fastnn._C._saved_bytes() == 0
    finally:
        fastnn._C._count_saved_bytes(False)


def test_thousands_of_steps_leave_nothing_behind():
    w = fastnn.randn(16, 16, requires_grad=True)
    x = fastnn.randn(4, 16)

    def step():
        y = (x @ w).tanh().softmax(-1)
        loss = (y.exp() * y).sum()
        loss.backward()
        w.grad = None

    for _ in range(10):
        step()
    gc.collect()
    gc.disable()
    try:
        before = fastnn.memory_stats()["allocated_bytes"]
        for _ in range(3000):
            step()
        assert fastnn.memory_stats()["allocated_bytes"] == before
    finally:
        gc.enable()


def test_parameters_keep_their_identity_and_attributes():
    class Sub(fastnn.Tensor):
        __torch_function__ = fastnn._C._disabled_torch_function_impl

    x = Sub._make_subclass(Sub, fastnn.ones(2, dtype=fastnn.float64), True)
    x.note = "kept"
    y = (x * 2).sum()
    identity = id(x)
    del x
    gc.collect()
    again = y.grad_fn.next_functions[0][0].next_functions[0][0].variable
    assert id(again) == identity
    assert type(again) is Sub
    assert again.note == "kept"
    watch = weakref.ref(again)
    del again, y
    gc.collect()
    assert watch() is None


def test_gradients_of_threads_add_up():
    x = leaf(1.0)

    def work():
        for _ in range(200):
            (x * 2).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert x.grad.item() == 4 * 200 * 2


def test_variable_is_an_old_name_of_tensor() -> None:
    x = fastnn.ones(2)
    v = autograd.Variable(x, requires_grad=True)
    assert type(v) is fastnn.Tensor and v.requires_grad and not x.requires_grad and v.data_ptr() == x.data_ptr()
    assert isinstance(x, autograd.Variable) and not isinstance(2, autograd.Variable)
    w = autograd.Variable(data=2 * v)
    assert w.grad_fn is None and not w.requires_grad and autograd.Variable().numel() == 0
    with pytest.warns(UserWarning, match="volatile was removed"):
        autograd.Variable(x, volatile=True)
    with pytest.raises(TypeError, match="has to be a tensor, but got list"):
        autograd.Variable([1.0])
