"""Optimizers: values against a reference and PyTorch's, state, checkpoints, hooks, frozen parameters, bad arguments."""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import pickle
import warnings

import numpy as np
import pytest

import fastnn
from fastnn.optim import SGD, Adam, AdamW, Optimizer
from fastnn.optim import optimizer as optimizer_module

SHAPES = [(3, 5), (7,), (), (2, 3, 4), (0, 3), (1,), (17, 40)]

SGD_OPTIONS = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.3},
    {"lr": 0.1, "maximize": True, "weight_decay": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.4, "weight_decay": 0.2},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.2, "maximize": True},
]
ADAM_OPTIONS = [
    {},
    {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6},
    {"lr": 0.05, "betas": (0.3, 0.4), "weight_decay": 0.3},
    {"lr": 0.05, "amsgrad": True, "weight_decay": 0.3},
    {"lr": 0.05, "maximize": True, "amsgrad": True},
]
CASES = (
    [("SGD", options) for options in SGD_OPTIONS]
    + [(name, options) for name in ("Adam", "AdamW") for options in ADAM_OPTIONS]
    + [("Adam", {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True})]
)
CASE_NAMES = [f"{name}-{'-'.join(options) or 'defaults'}" for name, options in CASES]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def values(step, shapes=SHAPES):
    """Parameters (step 0) or gradients of a step, the same for every library; the gradients change their sign."""
    generator = np.random.default_rng(100 + step)
    return [generator.standard_normal(shape).astype(np.float32) for shape in shapes]


def leaves(library, arrays, dtype="float32"):
    dtype = getattr(library, dtype)
    return [library.from_numpy(values.copy()).to(dtype).requires_grad_() for values in arrays]


def set_grads(library, params, step, shapes=SHAPES):
    for param, grad in zip(params, values(step, shapes), strict=True):
        param.grad = library.from_numpy(grad).to(param.dtype)


def run(library, name, options, steps, dtype="float32"):
    params = leaves(library, values(0), dtype)
    optimizer = getattr(library.optim, name)(params, **options)
    for step in range(1, steps + 1):
        set_grads(library, params, step)
        optimizer.step()
    return params, optimizer


def array(tensor):
    return tensor.detach().double().numpy()


# What a step means, in NumPy with double precision, and in the order in which the documentation gives it.


def reference_sgd(arrays, steps, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
    params = [a.astype(np.float64) for a in arrays]
    buffers = [None] * len(params)
    for step in range(1, steps + 1):
        for i, grad in enumerate(values(step)):
            grad = (-1 if maximize else 1) * grad.astype(np.float64) + weight_decay * params[i]
            if momentum:
                buffers[i] = grad if buffers[i] is None else momentum * buffers[i] + (1 - dampening) * grad
                grad = grad + momentum * buffers[i] if nesterov else buffers[i]
            params[i] = params[i] - lr * grad
    return params


def reference_adam(
    arrays, steps, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, maximize=False, decoupled=False
):
    params = [a.astype(np.float64) for a in arrays]
    average, square, largest = ([np.zeros_like(p) for p in params] for _ in range(3))
    for step in range(1, steps + 1):
        for i, grad in enumerate(values(step)):
            grad = (-1 if maximize else 1) * grad.astype(np.float64)
            if decoupled:
                params[i] = params[i] * (1 - lr * weight_decay)
            else:
                grad = grad + weight_decay * params[i]
            average[i] = betas[0] * average[i] + (1 - betas[0]) * grad
            square[i] = betas[1] * square[i] + (1 - betas[1]) * grad**2
            largest[i] = np.maximum(largest[i], square[i]) if amsgrad else square[i]
            corrected = np.sqrt(largest[i] / (1 - betas[1] ** step))
            params[i] = params[i] - lr * (average[i] / (1 - betas[0] ** step)) / (corrected + eps)
    return params


def reference(name, options, steps):
    if name == "SGD":
        return reference_sgd(values(0), steps, **options)
    options = {"weight_decay": 0.01, "decoupled": True, **options} if name == "AdamW" else dict(options)
    options["decoupled"] = options.pop("decoupled_weight_decay", options.get("decoupled", False))
    return reference_adam(values(0), steps, **options)


@pytest.mark.parametrize(("name", "options"), CASES, ids=CASE_NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(name, options, dtype):
    steps = 5
    params, _ = run(fastnn, name, options, steps, dtype)
    # A step rounds a few times, relative to values below about 10.
    tolerance = steps * 20 * (2.0**-24 if dtype == "float32" else 2.0**-53)
    # The square root in an Adam step amplifies rounding where all gradients so far are tiny.
    for param, expected in zip(params, reference(name, options, steps), strict=True):
        np.testing.assert_allclose(array(param), expected, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize(("name", "options"), CASES, ids=CASE_NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_values_equal_pytorch(torch, name, options, dtype):
    if dtype == "float16" and name != "SGD":
        # The default eps rounds to 0, and (1 - 0.999) * grad**2 to few bits or none.
        options = {**options, "eps": 1e-2, "betas": (0.8, 0.9)}
    steps = 6
    own_params, own = run(fastnn, name, options, steps, dtype)
    their_params, theirs = run(torch, name, options, steps, dtype)
    epsilon = {"float32": 2.0**-24, "float64": 2.0**-53, "bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    # PyTorch rounds 16-bit values after each of the up to ten operations of a step, we once.
    tolerance = 4 * steps * epsilon if dtype in ("float32", "float64") else 10 * steps * epsilon
    for param, other in zip(own_params, their_params, strict=True):
        np.testing.assert_allclose(array(param), array(other), rtol=tolerance, atol=tolerance)
        mine, other_state = own.state[param], theirs.state[other]
        assert list(mine) == list(other_state)
        for key, value in mine.items():
            assert str(value.dtype).split(".")[1] == str(other_state[key].dtype).split(".")[1]
            assert tuple(value.shape) == tuple(other_state[key].shape)
            np.testing.assert_allclose(array(value), array(other_state[key]), rtol=tolerance, atol=tolerance)


def test_state_layout():
    params, optimizer = run(fastnn, "Adam", {"amsgrad": True}, 3)
    state = optimizer.state[params[0]]
    assert list(state) == ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
    assert state["step"].dtype == fastnn.float32 and tuple(state["step"].shape) == () and state["step"].item() == 3
    assert not state["exp_avg"].requires_grad and type(state["exp_avg"]) is fastnn.Tensor
    params, optimizer = run(fastnn, "SGD", {"lr": 0.1, "momentum": 0.9}, 1)
    assert list(optimizer.state[params[0]]) == ["momentum_buffer"]
    assert array(optimizer.state[params[0]]["momentum_buffer"]) == pytest.approx(values(1)[0])
    params, optimizer = run(fastnn, "SGD", {"lr": 0.1}, 3)
    assert not optimizer.state


@pytest.mark.parametrize(("name", "options"), CASES, ids=CASE_NAMES)
def test_strided_parameters(name, options):
    """A transposed parameter, one with gaps, and gradients in another memory order than the parameter."""
    base = values(0, [(8, 6), (4, 10)])
    results = []
    for strided in (False, True):
        if strided:
            whole = fastnn.tensor(base[1].repeat(2, axis=1).tolist())
            params = [fastnn.tensor(base[0].T.tolist()).t(), whole[:, ::2]]
            params = [param.detach().requires_grad_() for param in params]
            assert not params[0].is_contiguous() and not params[1].is_contiguous()
        else:
            params = leaves(fastnn, base)
        optimizer = getattr(fastnn.optim, name)(params, **options)
        for step in range(1, 4):
            set_grads(fastnn, params, step, [(8, 6), (4, 10)])
            if strided and step == 2:
                for param in params:
                    param.grad = param.grad.t().contiguous().t()
            optimizer.step()
        results.append([param.tolist() for param in params])
        if strided:
            gaps = np.array(whole.tolist())[:, 1::2]
            np.testing.assert_array_equal(gaps, base[1])
    for contiguous, other in zip(*results, strict=True):
        np.testing.assert_allclose(contiguous, other, rtol=1e-6, atol=1e-6)


def test_overlapping_and_repeated_parameters():
    param = fastnn.ones(5, requires_grad=True)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optimizer = SGD([param, param], lr=0.25)
    param.grad = fastnn.ones(5)
    optimizer.step()
    assert param.tolist() == [0.5] * 5


def test_results_do_not_depend_on_threads():
    before = fastnn.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            fastnn.set_num_threads(threads)
            param = fastnn.tensor(values(0, [(300, 700)])[0].tolist()).requires_grad_()
            optimizer = AdamW([param], lr=0.1)
            for step in (1, 2):
                set_grads(fastnn, [param], step, [(300, 700)])
                optimizer.step()
            results.append(param.tolist())
    finally:
        fastnn.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def test_step_bumps_versions():
    weight = fastnn.ones(3, requires_grad=True)
    product = (weight * weight).sum()
    weight.grad = fastnn.ones(3)
    version = weight._version
    SGD([weight], lr=0.1).step()
    assert weight._version > version
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


# Frozen parameters.


@pytest.mark.parametrize(("name", "options"), CASES, ids=CASE_NAMES)
def test_frozen_parameters_never_change(name, options):
    trained, frozen, unused, was_trained = leaves(fastnn, values(0, [(4, 4)] * 4))
    frozen.requires_grad_(False)
    optimizer = getattr(fastnn.optim, name)([trained, frozen, unused, was_trained], **options)
    for param in (trained, was_trained):
        param.grad = fastnn.ones(4, 4)
    optimizer.step()
    was_trained.requires_grad_(False)  # has momentum now, and its last gradient is still there
    state = copy.deepcopy(dict(optimizer.state.get(was_trained, {})))
    before = [param.tolist() for param in (frozen, unused, was_trained)]
    moving = trained.tolist()
    for _ in range(20):
        trained.grad = fastnn.ones(4, 4)
        optimizer.step()
    assert [param.tolist() for param in (frozen, unused, was_trained)] == before
    assert trained.tolist() != moving
    assert frozen not in optimizer.state and unused not in optimizer.state
    for key, value in state.items():
        assert value.tolist() == optimizer.state[was_trained][key].tolist()
    was_trained.requires_grad_(True)
    optimizer.step()
    assert was_trained.tolist() != before[2]


def test_a_group_without_gradients_is_left_alone():
    param = fastnn.ones(2, requires_grad=True)
    for optimizer in (SGD([param], lr=1.0, weight_decay=1.0), AdamW([param], weight_decay=1.0)):
        optimizer.step()
        assert param.tolist() == [1.0, 1.0] and not optimizer.state


# Groups.


def test_groups_have_their_own_options():
    first, second = fastnn.ones(2, requires_grad=True), fastnn.ones(2, requires_grad=True)
    optimizer = SGD([{"params": first}, {"params": [second], "lr": 0.25}], lr=0.5)
    first.grad = second.grad = fastnn.ones(2)
    optimizer.step()
    assert (first.tolist(), second.tolist()) == ([0.5, 0.5], [0.75, 0.75])
    third = fastnn.ones(1, requires_grad=True)
    optimizer.add_param_group({"params": third, "lr": 1.0})
    third.grad = fastnn.ones(1)
    optimizer.step()
    assert third.item() == 0
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25, 1.0]


def test_named_parameters():
    pairs = [("body.weight", fastnn.ones(2, requires_grad=True)), ("head.weight", fastnn.ones(1, requires_grad=True))]
    optimizer = SGD(pairs, lr=0.5)
    assert optimizer.param_groups[0]["param_names"] == ["body.weight", "head.weight"]
    assert all(param is pair[1] for param, pair in zip(optimizer.param_groups[0]["params"], pairs, strict=True))
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["body.weight", "head.weight"]
    with pytest.raises(ValueError, match="with/without names"):
        optimizer.add_param_group({"params": [fastnn.ones(1, requires_grad=True)]})
    with pytest.raises(ValueError, match="Some param names are missing"):
        SGD([pairs[0], pairs[1][1]])
    unnamed = SGD([pairs[0][1], pairs[1][1]], lr=0.1)
    optimizer.load_state_dict(unnamed.state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["body.weight", "head.weight"]


def test_tensor_rate():
    param = fastnn.ones(2, requires_grad=True)
    rate = fastnn.tensor([0.5])
    optimizer = SGD([param], lr=rate)
    param.grad = fastnn.ones(2)
    optimizer.step()
    rate.fill_(0.25)
    optimizer.step()
    assert param.tolist() == [0.25, 0.25]
    assert optimizer.param_groups[0]["lr"] is rate


@pytest.mark.parametrize("options", [{"foreach": True}, {"fused": True}, {"foreach": False, "fused": False}])
def test_implementation_flags_are_accepted(options):
    for name, extra in (("SGD", {"momentum": 0.5}), ("Adam", {"capturable": True}), ("AdamW", {})):
        params, optimizer = run(fastnn, name, {"lr": 0.1, **options, **extra}, 3)
        expected, _ = run(fastnn, name, {"lr": 0.1, **extra}, 3)
        assert [p.tolist() for p in params] == [p.tolist() for p in expected]
        assert all(optimizer.param_groups[0][key] == value for key, value in options.items())


# Closures, gradients, differentiable steps.


@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=0.1), lambda p: Adam(p, lr=0.1)])
def test_closure_runs_with_gradients(make):
    param = fastnn.tensor([2.0], requires_grad=True)
    optimizer = make([param])

    def closure():
        optimizer.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        return loss

    with fastnn.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    assert param.item() == pytest.approx(1.6 if isinstance(optimizer, SGD) else 1.9)


def test_zero_grad():
    param = fastnn.ones(2, requires_grad=True)
    optimizer = SGD([param], lr=1.0)
    (param * 3).sum().backward()
    grad = param.grad
    optimizer.zero_grad(set_to_none=False)
    assert param.grad is grad or param.grad.data_ptr() == grad.data_ptr()
    assert grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert param.grad is None
    (param.grad,) = fastnn.autograd.grad((param**3).sum(), param, create_graph=True)
    assert param.grad.grad_fn is not None
    optimizer.zero_grad(set_to_none=False)
    assert param.grad.grad_fn is None and param.grad.tolist() == [0, 0]
    param.grad = None


@pytest.mark.parametrize(("name", "options"), CASES, ids=CASE_NAMES)
def test_differentiable(name, options):
    """The recorded step has the values of the plain one, and its derivative to the start is right."""
    start = fastnn.tensor([0.7, -0.4], dtype=fastnn.float64, requires_grad=True)

    def unrolled(differentiable, offset=0.0):
        source = start if differentiable else start.detach() + offset
        param = source.clone()
        if not differentiable:
            param.requires_grad_()
        optimizer = getattr(fastnn.optim, name)([param], **options, differentiable=differentiable)
        for scale in (2.0, 0.02, 0.02):  # falls, so that amsgrad has something to remember
            param.grad = scale * (param if differentiable else param.detach()).clone()
            optimizer.step()
        return param

    result = unrolled(True)
    np.testing.assert_allclose(result.tolist(), unrolled(False).tolist(), rtol=1e-13)
    (gradient,) = fastnn.autograd.grad(result.sum(), start)
    h = 1e-6
    slope = [(a - b) / (2 * h) for a, b in zip(unrolled(False, h).tolist(), unrolled(False, -h).tolist(), strict=True)]
    np.testing.assert_allclose(gradient.tolist(), slope, rtol=1e-5, atol=1e-8)


# Checkpoints.


def convert(library, value):
    """The same checkpoint with the tensors of another library."""
    if isinstance(value, dict):
        return {key: convert(library, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(convert(library, item) for item in value)
    if hasattr(value, "numpy"):
        return library.tensor(value.numpy().tolist(), dtype=library.float32).reshape(tuple(value.shape))
    return value


@pytest.mark.parametrize(("name", "options"), CASES, ids=CASE_NAMES)
def test_checkpoint_continues(name, options):
    params, optimizer = run(fastnn, name, options, 3)
    copies = [param.detach().clone().requires_grad_() for param in params]
    saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
    other = getattr(fastnn.optim, name)(copies, lr=123.0)
    other.load_state_dict(saved)
    for step in (4, 5):
        for some, stepper in ((params, optimizer), (copies, other)):
            set_grads(fastnn, some, step)
            stepper.step()
    assert [p.tolist() for p in params] == [p.tolist() for p in copies]


@pytest.mark.parametrize(("name", "options"), CASES, ids=CASE_NAMES)
def test_checkpoints_interchange_with_pytorch(torch, name, options):
    own_params, own = run(fastnn, name, options, 3)
    their_params, theirs = run(torch, name, options, 3)
    own_state, their_state = own.state_dict(), theirs.state_dict()
    own_groups, their_groups = own_state["param_groups"], their_state["param_groups"]
    assert own_groups == their_groups
    assert [list(state) for state in own_state["state"].values()] == [list(s) for s in their_state["state"].values()]
    own.load_state_dict(convert(fastnn, their_state))
    theirs.load_state_dict(convert(torch, own_state))
    for library, params, optimizer in ((fastnn, own_params, own), (torch, their_params, theirs)):
        set_grads(library, params, 4)
        optimizer.step()
    for param, other in zip(own_params, their_params, strict=True):
        np.testing.assert_allclose(array(param), array(other), rtol=1e-5, atol=1e-6)


def test_loading_converts_to_the_dtype_of_the_parameter():
    _, optimizer = run(fastnn, "Adam", {}, 2)
    halves = [fastnn.zeros(shape, dtype=fastnn.bfloat16, requires_grad=True) for shape in SHAPES]
    other = Adam(halves)
    other.load_state_dict(optimizer.state_dict())
    assert other.state[halves[0]]["exp_avg"].dtype == fastnn.bfloat16
    assert other.state[halves[0]]["step"].dtype == fastnn.float32


def test_loading_keeps_unknown_state_and_checks_groups():
    params, optimizer = run(fastnn, "SGD", {"lr": 0.1, "momentum": 0.9}, 1)
    state = optimizer.state_dict()
    state["state"]["note"] = {"text": "kept"}
    before = copy.deepcopy(optimizer.state_dict())
    other = SGD(params[:2], lr=0.5)
    with pytest.raises(ValueError, match="doesn't match the size"):
        other.load_state_dict(state)
    two = SGD([{"params": params[:2]}, {"params": params[2:]}], lr=0.5)
    with pytest.raises(ValueError, match="different number of parameter groups"):
        two.load_state_dict(state)
    assert two.param_groups[0]["lr"] == 0.5
    optimizer.load_state_dict(state)
    assert optimizer.state["note"] == {"text": "kept"}
    assert optimizer.state_dict()["param_groups"] == before["param_groups"]


def test_old_checkpoints_get_new_options():
    params, optimizer = run(fastnn, "AdamW", {}, 1)
    state = optimizer.state_dict()
    for key in ("amsgrad", "maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"):
        del state["param_groups"][0][key]
    for entry in state["state"].values():
        entry["step"] = 1  # a plain number in old checkpoints
    optimizer.load_state_dict(state)
    set_grads(fastnn, params, 2)
    optimizer.step()
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True
    assert optimizer.state[params[0]]["step"].item() == 2
    params, optimizer = run(fastnn, "SGD", {"lr": 0.1}, 1)
    state = optimizer.state_dict()
    for key in ("nesterov", "maximize", "foreach", "differentiable", "fused"):
        del state["param_groups"][0][key]
    optimizer.load_state_dict(state)
    optimizer.step()
    assert optimizer.param_groups[0]["nesterov"] is False


def test_copy_and_pickle():
    for name, options in CASES:
        params, optimizer = run(fastnn, name, options, 2)
        optimizer.register_step_pre_hook(lambda *_: None)  # hooks are not part of a copy
        for duplicate in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
            copies = duplicate.param_groups[0]["params"]
            assert [p.tolist() for p in copies] == [p.tolist() for p in params]
            assert all(a is not b for a, b in zip(copies, params, strict=True))
            assert not duplicate._optimizer_step_pre_hooks
            set_grads(fastnn, copies, 3)
            duplicate.step()
            reference_params = [p.detach().clone().requires_grad_() for p in params]
            again = getattr(fastnn.optim, name)(reference_params, **options)
            again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            set_grads(fastnn, reference_params, 3)
            again.step()
            assert [p.tolist() for p in copies] == [p.tolist() for p in reference_params]


# Hooks.


def test_step_hooks():
    param = fastnn.ones(1, requires_grad=True)
    optimizer = SGD([param], lr=0.5)
    param.grad = fastnn.ones(1)
    calls = []
    handles = [
        optimizer_module.register_optimizer_step_pre_hook(lambda o, args, kwargs: calls.append("global pre")),
        optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append(("pre", args[0] is o, param.item()))),
        optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append(("post", args[0] is o, param.item()))),
        optimizer_module.register_optimizer_step_post_hook(lambda o, args, kwargs: calls.append("global post")),
    ]
    try:
        optimizer.step()
    finally:
        for handle in handles:
            handle.remove()
    assert calls == ["global pre", ("pre", True, 1.0), ("post", True, 0.5), "global post"]
    optimizer.step()
    assert len(calls) == 4

    replaced = []
    with optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: replaced.append(1)), {})):
        optimizer.step()
    assert replaced == [1]
    with optimizer.register_step_pre_hook(lambda o, args, kwargs: 3):
        with pytest.raises(RuntimeError, match="must return None or a tuple"):
            optimizer.step()


def test_state_dict_hooks():
    _params, optimizer = run(fastnn, "SGD", {"lr": 0.1, "momentum": 0.5}, 1)
    calls = []
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("second"))
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1})
    state = optimizer.state_dict()
    assert calls == ["first", "second"] and state["extra"] == 1

    def halve(o, loaded):
        loaded["param_groups"] = [{**group, "lr": group["lr"] / 2} for group in loaded["param_groups"]]

    optimizer.register_load_state_dict_pre_hook(halve)
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append(o.param_groups[0]["lr"]))
    optimizer.load_state_dict(state)
    assert calls[-1] == 0.05 and state["param_groups"][0]["lr"] == 0.1


def test_user_defined_optimizer():
    class Sign(Optimizer):
        def __init__(self, params, lr=optimizer_module.required):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            with fastnn.no_grad():
                for group in self.param_groups:
                    for param in group["params"]:
                        param.sub_(group["lr"] * param.grad.sign())

    param = fastnn.tensor([1.0, 1.0], requires_grad=True)
    with pytest.raises(ValueError, match="required optimization parameter lr"):
        Sign([param])
    optimizer = Sign([{"params": [param], "lr": 0.5}])
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    param.grad = fastnn.tensor([3.0, -3.0])
    optimizer.step()
    assert param.tolist() == [0.5, 1.5] and calls == [1]
    assert copy.deepcopy(optimizer_module.required) is optimizer_module.required
    assert pickle.loads(pickle.dumps(optimizer_module.required)) is optimizer_module.required
    with pytest.raises(NotImplementedError, match="step"):
        Optimizer([param], {}).step()


def test_text():
    optimizer = AdamW([fastnn.ones(1, requires_grad=True)], lr=0.5)
    assert repr(optimizer) == (
        "AdamW (\nParameter Group 0\n    amsgrad: False\n    betas: (0.9, 0.999)\n    capturable: False\n"
        "    decoupled_weight_decay: True\n    differentiable: False\n    eps: 1e-08\n    foreach: None\n"
        "    fused: None\n    lr: 0.5\n    maximize: False\n    weight_decay: 0.01\n)"
    )


# Bad input.


def one():
    return [fastnn.ones(1, requires_grad=True)]


BAD_ARGUMENTS = [
    (TypeError, "iterable of Tensors or dicts", lambda: SGD(one()[0])),
    (ValueError, "empty parameter list", lambda: SGD([])),
    (ValueError, "empty parameter list", lambda: SGD(iter(()))),
    (TypeError, "ordered collections", lambda: SGD([{"params": set(one())}])),
    (TypeError, "one of the params is int", lambda: SGD([3])),
    (ValueError, "non-leaf", lambda: SGD([one()[0] * 2])),
    (ValueError, "Invalid learning rate: -1", lambda: SGD(one(), lr=-1)),
    (ValueError, "Invalid momentum value: -0.5", lambda: SGD(one(), momentum=-0.5)),
    (ValueError, "Invalid weight_decay value: -1", lambda: SGD(one(), weight_decay=-1)),
    (ValueError, "Nesterov momentum requires", lambda: SGD(one(), nesterov=True)),
    (ValueError, "Nesterov momentum requires", lambda: SGD(one(), momentum=0.9, dampening=0.1, nesterov=True)),
    (ValueError, "Tensor lr must be 1-element", lambda: SGD(one(), lr=fastnn.ones(2))),
    (RuntimeError, "`foreach` cannot be", lambda: SGD(one(), fused=True, foreach=True)),
    (RuntimeError, "does not support `differentiable`", lambda: SGD(one(), fused=True, differentiable=True)),
    (ValueError, "Invalid learning rate", lambda: Adam(one(), lr=-0.1)),
    (ValueError, "Invalid epsilon value", lambda: Adam(one(), eps=-1)),
    (ValueError, "beta parameter at index 0: 1.0", lambda: Adam(one(), betas=(1.0, 0.9))),
    (ValueError, "beta parameter at index 1: -0.1", lambda: Adam(one(), betas=(0.9, -0.1))),
    (ValueError, "both floats or both Tensors", lambda: Adam(one(), betas=(0.9, fastnn.tensor(0.9)))),
    (ValueError, "Invalid weight_decay value", lambda: AdamW(one(), weight_decay=-1)),
    (ValueError, "lr as a Tensor", lambda: Adam(one(), lr=fastnn.tensor(0.1), foreach=True)),
    (RuntimeError, "`foreach` cannot be", lambda: AdamW(one(), fused=True, foreach=True)),
]


@pytest.mark.parametrize(("error", "text", "call"), BAD_ARGUMENTS)
def test_bad_arguments(error, text, call):
    with pytest.raises(error, match=text):
        call()


def test_bad_groups():
    param = fastnn.ones(1, requires_grad=True)
    optimizer = SGD([param], lr=0.1)
    with pytest.raises(TypeError, match="must be a dict"):
        optimizer.add_param_group([param])
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [param]})
    assert len(optimizer.param_groups) == 1


def test_gradient_of_wrong_shape_changes_nothing():
    """The gradient of a parameter is replaced behind autograd's back by resizing the parameter."""
    param = fastnn.ones(4, requires_grad=True)
    param.grad = fastnn.ones(4)
    param.data = fastnn.ones(3)
    for optimizer in (SGD([param], lr=0.1, momentum=0.9), Adam([param])):
        with pytest.raises(RuntimeError):
            optimizer.step()
        assert param.tolist() == [1, 1, 1]
        assert "momentum_buffer" not in optimizer.state.get(param, {})


def test_defaults_equal_pytorch(torch):
    for name in ("SGD", "Adam", "AdamW"):
        own, reference = (
            {key: parameter.default for key, parameter in inspect.signature(getattr(module, name)).parameters.items()}
            for module in (fastnn.optim, torch.optim)
        )
        assert list(own.items()) == list(reference.items())


def test_nan_rates_are_refused():
    with pytest.raises(ValueError, match="Invalid learning rate: nan"):
        SGD(one(), lr=math.nan)


def test_no_warnings_in_ordinary_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, options in itertools.islice(CASES, 0, None, 3):
            run(fastnn, name, options, 1)
