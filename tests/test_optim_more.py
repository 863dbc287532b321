"""Optimizers beyond SGD and Adam: values and checkpoints against PyTorch's, differentiable steps, arguments; averages."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest
from test_optim import SHAPES, array, convert, leaves, one, run, set_grads, values

import fastnn
from fastnn.optim import optimizer as optimizer_module
from fastnn.optim import swa_utils

CASES = [
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.6, "eps": 1e-3, "weight_decay": 0.2, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.3, "initial_accumulator_value": 0.5, "eps": 1e-4}),
    ("Adagrad", {"lr": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.3, 0.7), "eps": 1e-3, "weight_decay": 0.2}),
    ("Adamax", {"lr": 0.1, "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.2, "alpha": 0.5, "t0": 2, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.1, "maximize": True, "t0": 4}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "betas": (0.4, 0.8), "eps": 1e-3, "weight_decay": 0.2, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.4, 0.95), "eps": 1e-3, "weight_decay": 0.2}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.3, "decoupled_weight_decay": True, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.2}),
    ("RMSprop", {"lr": 0.05, "centered": True, "alpha": 0.8, "eps": 1e-2}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.7, "maximize": True}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.7, "centered": True, "alpha": 0.7, "eps": 1e-2, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.3), "maximize": True}),
]
WHOLE = [  # steps in Tensor algebra
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.1, "beta2_decay": -0.5, "eps": (1e-3, 1e-2), "d": 2.0, "weight_decay": 0.3}),
    ("Adafactor", {"lr": 0.1, "maximize": True}),
]
NAMES = [f"{name}-{'-'.join(options) or 'defaults'}" for name, options in CASES + WHOLE]
ALL = sorted({name for name, _ in CASES + WHOLE} | {"Muon", "SparseAdam", "LBFGS"})


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def close(own, other, tolerance):
    np.testing.assert_allclose(array(own), array(other), rtol=tolerance, atol=tolerance)


def shapes_of(name):
    return [shape for shape in SHAPES if 0 not in shape] if name == "Adafactor" else SHAPES


def run_shapes(library, name, options, steps, dtype="float32"):
    shapes = shapes_of(name)
    params = leaves(library, values(0, shapes), dtype)
    optimizer = getattr(library.optim, name)(params, **options)
    for step in range(1, steps + 1):
        set_grads(library, params, step, shapes)
        optimizer.step()
    return params, optimizer


@pytest.mark.parametrize(("name", "options"), CASES + WHOLE, ids=NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_equal_pytorch(torch, name, options, dtype):
    steps = 20
    own_params, own = run_shapes(fastnn, name, options, steps, dtype)
    their_params, theirs = run_shapes(torch, name, options, steps, dtype)
    epsilon = 2.0**-24 if dtype == "float32" else 2.0**-53
    for param, other in zip(own_params, their_params, strict=True):
        # Rprop multiplies its step size by a factor at each step; the others add rounding.
        # The step count and the coefficients from it are float32 in both.
        close(param, other, 8 * steps * epsilon)
        state, other_state = own.state[param], theirs.state[other]
        assert list(state) == list(other_state)
        for key, value in state.items():
            assert str(value.dtype).split(".")[1] == str(other_state[key].dtype).split(".")[1]
            assert tuple(value.shape) == tuple(other_state[key].shape)
            close(value, other_state[key], 8 * steps * epsilon)


@pytest.mark.parametrize(("name", "options"), CASES, ids=NAMES[: len(CASES)])
def test_bfloat16_follows_pytorch(torch, name, options):
    options = {
        **options,
        **({"eps": 1e-2} if "eps" in inspect.signature(getattr(torch.optim, name)).parameters else {}),
    }
    own_params, _ = run(fastnn, name, options, 3, "bfloat16")
    their_params, _ = run(torch, name, options, 3, "bfloat16")
    for param, other in zip(own_params, their_params, strict=True):
        assert param.dtype == fastnn.bfloat16
        close(param, other, 30 * 2.0**-8)  # PyTorch rounds after each of about ten operations of a step


@pytest.mark.parametrize(("name", "options"), CASES, ids=NAMES[: len(CASES)])
def test_complex_parameters_equal_pytorch(torch, name, options):
    results = []
    for library in (fastnn, torch):
        parts = leaves(library, values(0, [(4, 3), (4, 3)]))
        param = library.complex(parts[0].detach(), parts[1].detach()).requires_grad_()
        optimizer = getattr(library.optim, name)([param], **options)
        for step in (1, 2, 3):
            real, imag = (library.from_numpy(grad) for grad in values(step, [(4, 3), (4, 3)]))
            param.grad = library.complex(real, imag)
            optimizer.step()
        states = [value for value in optimizer.state[param].values() if value.is_complex()]
        results.append([library.view_as_real(value.detach()) for value in [param, *states]])
    for own, other in zip(*results, strict=True):
        close(own, other, 1e-5)


def test_complex_parameters_are_refused():
    for name in ("Adafactor", "Muon"):
        param = fastnn.zeros(2, 2, dtype=fastnn.complex64, requires_grad=True)
        optimizer = getattr(fastnn.optim, name)([param])
        param.grad = fastnn.zeros_like(param)
        with pytest.raises(RuntimeError, match=f"{name} does not support complex parameters"):
            optimizer.step()
    with pytest.raises(ValueError, match="does not support complex parameters"):
        fastnn.optim.SparseAdam([param])


@pytest.mark.parametrize(("name", "options"), CASES, ids=NAMES[: len(CASES)])
def test_differentiable(name, options):
    """The recorded step has the values of the plain one, and its derivative to the start is right."""
    start = fastnn.tensor([0.7, -0.4], dtype=fastnn.float64, requires_grad=True)

    def unrolled(differentiable, offset=0.0):
        param = start.clone() if differentiable else (start.detach() + offset).requires_grad_()
        optimizer = getattr(fastnn.optim, name)([param], **options, differentiable=differentiable)
        for scale in (2.0, 0.5, 0.7, -0.3, 0.4, 0.6, 0.9):
            param.grad = scale * (param if differentiable else param.detach()).clone()
            optimizer.step()
        return param

    result = unrolled(True)
    np.testing.assert_allclose(result.tolist(), unrolled(False).tolist(), rtol=1e-12)
    (gradient,) = fastnn.autograd.grad(result.sum(), start)
    h = 1e-6
    slope = [(a - b) / (2 * h) for a, b in zip(unrolled(False, h).tolist(), unrolled(False, -h).tolist(), strict=True)]
    np.testing.assert_allclose(gradient.tolist(), slope, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "options"), CASES + WHOLE, ids=NAMES)
def test_checkpoints_interchange_with_pytorch(torch, name, options):
    own_params, own = run_shapes(fastnn, name, options, 3)
    their_params, theirs = run_shapes(torch, name, options, 3)
    own_state, their_state = own.state_dict(), theirs.state_dict()
    assert own_state["param_groups"] == their_state["param_groups"]
    own.load_state_dict(convert(fastnn, their_state))
    theirs.load_state_dict(convert(torch, own_state))
    for library, params, optimizer in ((fastnn, own_params, own), (torch, their_params, theirs)):
        set_grads(library, params, 4, shapes_of(name))
        optimizer.step()
    for param, other in zip(own_params, their_params, strict=True):
        close(param, other, 1e-5)


@pytest.mark.parametrize(("name", "options"), CASES + WHOLE, ids=NAMES)
def test_copies_pickles_and_old_checkpoints(name, options):
    params, optimizer = run_shapes(fastnn, name, options, 2)
    state = copy.deepcopy(optimizer.state_dict())
    for entry in state["state"].values():
        for key in ("step", "eta", "mu", "mu_product"):
            if key in entry:
                entry[key] = entry[key].item()  # a number in old checkpoints
    for key in ("foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"):
        if not options.get(key):
            state["param_groups"][0].pop(key, None)
    old = copy.deepcopy(optimizer)
    old.load_state_dict(state)
    results = []
    for stepper in (optimizer, old, pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        own = stepper.param_groups[0]["params"]
        set_grads(fastnn, own, 3, shapes_of(name))
        stepper.step()
        results.append([param.tolist() for param in own])
    assert results[1:] == results[:1] * 3
    assert optimizer.param_groups[0].keys() == old.param_groups[0].keys()
    assert repr(optimizer).startswith(f"{name} (\nParameter Group 0\n")
    assert params[0].tolist() == results[0][0]


@pytest.mark.parametrize("name", ALL)
def test_frozen_parameters_closures_and_groups(name):
    trained, frozen, unused = leaves(fastnn, values(0, [(4, 4)] * 3))
    frozen.requires_grad_(False)
    options = {} if name == "LBFGS" else {"lr": 0.05}
    optimizer = getattr(fastnn.optim, name)([("a", trained), ("b", frozen), ("c", unused)], **options)
    assert optimizer.param_groups[0]["param_names"] == ["a", "b", "c"]
    before = [param.tolist() for param in (trained, frozen, unused)]
    calls = []
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))

    def closure():
        assert fastnn.is_grad_enabled()
        optimizer.zero_grad()
        loss = (trained**2).sum()
        loss.backward()
        return loss

    first = optimizer.step(closure)
    for _ in range(3):
        last = optimizer.step(closure)
    assert last < first and calls == ["pre", "post"] * 4
    after = [param.tolist() for param in (trained, frozen, unused)]
    assert after[1:] == before[1:] and after[0] != before[0]
    trained.requires_grad_(False)
    if name != "LBFGS":
        optimizer.step()
        assert trained.tolist() == after[0]
        added = fastnn.ones(2, 2, requires_grad=True)
        optimizer.add_param_group({"params": [("d", added)], "lr": 0.5})
        added.grad = fastnn.eye(2) + 0.5
        optimizer.step()
        assert added.tolist() != [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("name", ALL)
def test_signatures_and_defaults_equal_pytorch(torch, name):
    own, theirs = (getattr(library.optim, name) for library in (fastnn, torch))
    own_parameters, their_parameters = (inspect.signature(cls).parameters for cls in (own, theirs))
    assert {k: (p.default, p.kind) for k, p in own_parameters.items()} == {
        k: (p.default, p.kind) for k, p in their_parameters.items()
    }
    assert list(own_parameters) == list(their_parameters)
    matrices = [library.ones(2, 2, requires_grad=True) for library in (fastnn, torch)]
    groups = [cls([matrix]).param_groups[0] for cls, matrix in zip((own, theirs), matrices, strict=True)]
    assert list(groups[0]) == list(groups[1])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adadelta", {"rho": 1.5}),
        ("Adadelta", {"eps": -1}),
        ("Adagrad", {"lr_decay": -1}),
        ("Adagrad", {"initial_accumulator_value": -1}),
        ("Adagrad", {"fused": True, "foreach": True}),
        ("Adagrad", {"fused": True, "differentiable": True}),
        ("Adamax", {"betas": (1.0, 0.5)}),
        ("ASGD", {"weight_decay": -1}),
        ("NAdam", {"momentum_decay": -0.5}),
        ("NAdam", {"betas": (0.5, -0.1)}),
        ("RAdam", {"eps": -1}),
        ("RMSprop", {"alpha": -1}),
        ("RMSprop", {"momentum": -1}),
        ("Rprop", {"etas": (1.2, 0.5)}),
        ("SparseAdam", {"lr": 0}),
        ("SparseAdam", {"eps": 0.0}),
        ("Adafactor", {"lr": -1}),
        ("Adafactor", {"beta2_decay": 0.5}),
        ("Adafactor", {"eps": (-1, 1)}),
        ("Adafactor", {"eps": (None, -1)}),
        ("Adafactor", {"d": 0.5}),
        ("Adafactor", {"weight_decay": -1}),
        ("Muon", {"momentum": -1}),
        ("Muon", {"weight_decay": -1}),
        ("Muon", {"adjust_lr_fn": "other"}),
        ("LBFGS", {"lr": -1}),
        *(
            (name, {"lr": -1})
            for name in ("Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop")
        ),
    ],
)
def test_bad_arguments_fail_as_in_pytorch(torch, name, options):
    errors = []
    for library in (fastnn, torch):
        with pytest.raises((ValueError, RuntimeError)) as caught:
            getattr(library.optim, name)([library.ones(2, 2, requires_grad=True)], **options)
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("name", ALL)
def test_tensor_rates(torch, name):
    results = []
    for rate in (0.25, fastnn.tensor(0.25)):
        param = fastnn.ones(2, 2, requires_grad=True)
        optimizer = getattr(fastnn.optim, name)([param], lr=rate)

        def closure(param=param):
            param.grad = fastnn.eye(2) + 0.5
            return param.sum()

        optimizer.step(closure)
        results.append(param.tolist())
        with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
            getattr(fastnn.optim, name)([param], lr=fastnn.ones(2))
    assert results[0] == results[1]


def test_strided_parameters():
    """A transposed parameter, and gradients in another memory order than the parameter."""
    for name, options in CASES:
        base = values(0, [(8, 6)])[0]
        results = []
        for param in (fastnn.tensor(base.tolist()), fastnn.tensor(base.T.tolist()).t()):
            param = param.detach().requires_grad_()
            optimizer = getattr(fastnn.optim, name)([param], **options)
            for step in (1, 2, 3):
                set_grads(fastnn, [param], step, [(8, 6)])
                optimizer.step()
            results.append(param.tolist())
        np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


def test_steps_bump_versions_and_check_shapes():
    for name, options in CASES:
        weight = fastnn.ones(3, requires_grad=True)
        weight.grad = fastnn.ones(3)
        version = weight._version
        optimizer = getattr(fastnn.optim, name)([weight], **options)
        optimizer.step()
        assert weight._version > version
        weight.data = fastnn.ones(2)
        with pytest.raises(RuntimeError, match="shape"):
            optimizer.step()


@pytest.mark.parametrize("options", [{}, {"nesterov": False, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}])
@pytest.mark.parametrize("shape", [(6, 4), (4, 9), (5, 5)])
def test_muon_equals_pytorch(torch, options, shape):
    results = []
    for library in (fastnn, torch):
        params = leaves(library, values(0, [shape]))
        optimizer = library.optim.Muon(params, lr=0.1, **options)
        for step in range(1, 4):
            set_grads(library, params, step, [shape])
            optimizer.step()
        results.append((array(params[0]), array(optimizer.state[params[0]]["momentum_buffer"])))
    # Five iterations in bfloat16, each with a gain of up to 3.4; updates have elements below 1.
    np.testing.assert_allclose(results[0][0], results[1][0], atol=3 * 0.1 * 16 * 2.0**-8)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="only supports 2D parameters"):
        fastnn.optim.Muon([fastnn.ones(3, requires_grad=True)])


@pytest.mark.parametrize("options", [{}, {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "maximize": True}])
def test_sparse_adam_equals_pytorch(torch, options):
    table = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    indices = [[0, 2, 2], [1, 2], [0, 5], [2], [1, 5, 5]]
    own = fastnn.from_numpy(table.copy()).requires_grad_()
    theirs = torch.from_numpy(table.copy()).requires_grad_()
    own_optimizer, their_optimizer = (
        fastnn.optim.SparseAdam([own], **options),
        torch.optim.SparseAdam([theirs], **options),
    )
    for rows in indices:
        for library, weight, optimizer in ((fastnn, own, own_optimizer), (torch, theirs, their_optimizer)):
            optimizer.zero_grad()
            sparse = {"sparse": True} if library is torch else {}
            picked = library.nn.functional.embedding(library.tensor(rows), weight, **sparse)
            (picked**2).sum().backward()
            optimizer.step()
    close(own, theirs, 1e-6)
    state, other = own_optimizer.state[own], their_optimizer.state[theirs]
    assert list(state) == list(other) and state["step"] == other["step"] == 5
    for key in ("exp_avg", "exp_avg_sq"):
        close(state[key], other[key], 1e-6)
    assert own[3].tolist() == table[3].tolist()


LBFGS_OPTIONS = [
    {"lr": 0.1, "max_iter": 10},
    {"line_search_fn": "strong_wolfe", "max_iter": 8},
    {"line_search_fn": "strong_wolfe", "history_size": 2, "lr": 0.5, "max_iter": 5},
    {"line_search_fn": "strong_wolfe", "max_eval": 4},
]


@pytest.mark.parametrize("options", LBFGS_OPTIONS)
@pytest.mark.parametrize("problem", ["rosenbrock", "regression"])
def test_lbfgs_equals_pytorch(torch, options, problem):
    def solve(library):
        start = library.tensor([-1.2, 1.0, 0.5, 0.3], dtype=library.float64, requires_grad=True)
        bias = library.zeros(1, dtype=library.float64, requires_grad=True)
        features = library.from_numpy(np.random.default_rng(0).standard_normal((20, 4)))
        optimizer = library.optim.LBFGS([start, bias], **options)

        def closure():
            optimizer.zero_grad()
            if problem == "rosenbrock":
                x, y = start[:2], start[2:]
                loss = (100 * (y - x**2) ** 2 + (1 - x) ** 2).sum() + (bias**2).sum()
            else:
                loss = library.nn.functional.softplus(features @ start + bias - 0.3).sum() + (start**2).sum()
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(4)]
        return losses, array(start), optimizer

    (losses, point, own), (their_losses, their_point, theirs) = solve(fastnn), solve(torch)
    np.testing.assert_allclose(losses, their_losses, rtol=1e-6)
    np.testing.assert_allclose(point, their_point, rtol=1e-6)
    state, other = own.state_dict()["state"][0], theirs.state_dict()["state"][0]
    assert set(state) == set(other)
    assert (state["n_iter"], state["func_evals"]) == (other["n_iter"], other["func_evals"])
    assert len(state["old_dirs"]) == len(other["old_dirs"])


def test_lbfgs_solves_and_refuses():
    x = fastnn.tensor([-1.2, 1.0], dtype=fastnn.float64, requires_grad=True)
    optimizer = fastnn.optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    assert x.tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
    again = fastnn.optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=100)
    again.load_state_dict(pickle.loads(pickle.dumps(optimizer.state_dict())))
    assert again.state[x]["n_iter"] == optimizer.state[x]["n_iter"]
    with pytest.raises(TypeError, match="closure"):
        optimizer.step()
    with pytest.raises(ValueError, match="per-parameter options"):
        fastnn.optim.LBFGS([{"params": one()}, {"params": one()}])
    with fastnn.no_grad():
        x.fill_(0.5)
    with pytest.raises(RuntimeError, match="only 'strong_wolfe'"):
        fastnn.optim.LBFGS([x], line_search_fn="other").step(closure)


# A user's own optimizer, written as scripts write them.


def test_user_defined_optimizer_with_state():
    class Momentum(fastnn.optim.Optimizer):
        def __init__(self, params, lr=optimizer_module.required, momentum=0.9):
            super().__init__(params, {"lr": lr, "momentum": momentum})

        @fastnn.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is None:
                        continue
                    state = self.state[param]
                    if len(state) == 0:
                        state["velocity"] = fastnn.zeros_like(param)
                    state["velocity"].mul_(group["momentum"]).add_(param.grad)
                    param.add_(state["velocity"], alpha=-group["lr"])

    param = fastnn.ones(2, requires_grad=True)
    optimizer = Momentum([param], lr=0.5, momentum=0.5)
    for _ in range(2):
        param.grad = fastnn.ones(2)
        optimizer.step()
    assert param.tolist() == [-0.25, -0.25]
    scheduler = fastnn.optim.lr_scheduler.StepLR(optimizer, 1)
    assert scheduler.get_last_lr() == [0.5]
    restored = Momentum([param], lr=1.0)
    restored.load_state_dict(optimizer.state_dict())
    assert restored.state[param]["velocity"].tolist() == [1.5, 1.5]


# Averages of weights.


def network(library):
    library.manual_seed(0)
    return library.nn.Sequential(library.nn.Linear(3, 4), library.nn.BatchNorm1d(4), library.nn.Linear(4, 1))


AVERAGES = {
    "swa": lambda utils: {},
    "swa function": lambda utils: {"avg_fn": utils.get_swa_avg_fn()},
    "swa lists": lambda utils: {"multi_avg_fn": utils.get_swa_multi_avg_fn()},
    "ema function": lambda utils: {"avg_fn": utils.get_ema_avg_fn(0.7)},
    "ema lists": lambda utils: {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.7)},
    "buffers": lambda utils: {"use_buffers": True},
    "ema buffers": lambda utils: {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.7), "use_buffers": True},
    "user": lambda utils: {"avg_fn": lambda average, current, n: 0.1 * average + 0.9 * current * (n + 1)},
}


@pytest.mark.parametrize("kind", AVERAGES)
def test_averaged_model_equals_pytorch(torch, kind):
    states = []
    for library in (fastnn, torch):
        model = network(library)
        average = library.optim.swa_utils.AveragedModel(model, **AVERAGES[kind](library.optim.swa_utils))
        optimizer = library.optim.SGD(model.parameters(), lr=0.1)
        for step in range(1, 5):
            inputs = library.from_numpy(values(step, [(8, 3)])[0])
            model(inputs).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            average.update_parameters(model)
        batches = [library.from_numpy(values(step, [(8, 3)])[0]) for step in (1, 2, 3)]
        before = copy.deepcopy(average.state_dict())
        library.optim.swa_utils.update_bn([(batch, None) for batch in batches], average)
        states += [before, average.state_dict()]
        assert average.training and average.module[1].momentum == 0.1
    for own, other in zip(states[:2], states[2:], strict=True):
        assert list(own) == list(other)
        for key in own:
            close(own[key], other[key], 2e-6)


def test_averaged_model_is_a_module():
    model = fastnn.nn.Linear(2, 1)
    average = swa_utils.AveragedModel(model, device="cpu")
    average.update_parameters(model)
    assert average(fastnn.ones(2)).item() == model(fastnn.ones(2)).item()
    assert average.n_averaged.dtype == fastnn.int64 and average.n_averaged.item() == 1
    with pytest.raises(AssertionError, match="Only one of"):
        swa_utils.AveragedModel(model, avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn())
    for make in (swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn):
        with pytest.raises(ValueError, match="Invalid decay value"):
            make(1.5)


@pytest.mark.parametrize(
    "options",
    [{"anneal_epochs": 3}, {"anneal_epochs": 3, "anneal_strategy": "linear"}, {"anneal_epochs": 0}, {}],
)
def test_swalr_equals_pytorch(torch, options):
    traces = []
    for library in (fastnn, torch):
        params = [library.ones(1, requires_grad=True) for _ in range(2)]
        optimizer = library.optim.SGD([{"params": params[0]}, {"params": params[1], "lr": 0.2}], lr=0.5)
        scheduler = library.optim.swa_utils.SWALR(optimizer, [0.05, 0.1], **options)
        rates = [scheduler.get_last_lr()]
        for _ in range(5):
            optimizer.step()
            scheduler.step()
            rates.append(scheduler.get_last_lr())
        traces.append((rates, sorted(scheduler.state_dict())))
        again = library.optim.swa_utils.SWALR(optimizer, 0.3)
        again.load_state_dict(scheduler.state_dict())
        assert again.get_last_lr() == rates[-1] and again.anneal_epochs == scheduler.anneal_epochs
    np.testing.assert_allclose(traces[0][0], traces[1][0], rtol=1e-12)
    assert traces[0][1] == traces[1][1]
    optimizer = fastnn.optim.SGD(one(), lr=1.0)
    with pytest.raises(ValueError, match="anneal_strategy must be one of"):
        swa_utils.SWALR(optimizer, 0.1, anneal_strategy="other")
    with pytest.raises(ValueError, match="anneal_epochs must be"):
        swa_utils.SWALR(optimizer, 0.1, anneal_epochs=-1)
