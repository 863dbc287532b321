"""Learning rate schedules: values, against PyTorch's where it is installed, checkpoints, warnings, bad arguments."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import random
import warnings

import pytest

import fastnn
from fastnn.optim import SGD, Adam, lr_scheduler

STEPS = 300


class Ramp:
    """A callable object whose attribute a checkpoint keeps."""

    def __init__(self, slope):
        self.slope = slope

    def __call__(self, step):
        return 1 + self.slope * step


# name, arguments, whether the schedule moves the momentum
SCHEDULES = {
    "lambda": ("LambdaLR", {"lr_lambda": lambda step: 0.99**step}),
    "lambda_list": ("LambdaLR", {"lr_lambda": [lambda step: 0.99**step, lambda step: 1 / (1 + step)]}),
    "multiplicative": ("MultiplicativeLR", {"lr_lambda": lambda step: 0.99 + 0.001 * (step % 3)}),
    "step": ("StepLR", {"step_size": 30, "gamma": 0.3}),
    "multistep": ("MultiStepLR", {"milestones": [3, 50, 50, 120], "gamma": 0.3}),
    "constant": ("ConstantLR", {"factor": 0.3, "total_iters": 40}),
    "linear": ("LinearLR", {"start_factor": 0.2, "end_factor": 0.9, "total_iters": 70}),
    "exponential": ("ExponentialLR", {"gamma": 0.98}),
    "polynomial": ("PolynomialLR", {"total_iters": 150, "power": 1.7}),
    "cosine": ("CosineAnnealingLR", {"T_max": 40, "eta_min": 0.01}),
    "warm_restarts": ("CosineAnnealingWarmRestarts", {"T_0": 7, "T_mult": 2, "eta_min": 0.001}),
    "warm_restarts_equal": ("CosineAnnealingWarmRestarts", {"T_0": 9}),
    "cyclic": ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 13, "step_size_down": 7}),
    "cyclic_halving": ("CyclicLR", {"base_lr": [0.1, 0.2], "max_lr": 0.7, "step_size_up": 13, "mode": "triangular2"}),
    "cyclic_decay": (
        "CyclicLR",
        {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 9, "mode": "exp_range", "gamma": 0.99},
    ),
    "cyclic_function": (
        "CyclicLR",
        {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 9, "scale_fn": lambda x: 0.9**x, "scale_mode": "iterations"},
    ),
    "cyclic_no_momentum": ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 9, "cycle_momentum": False}),
    "one_cycle": ("OneCycleLR", {"max_lr": 0.9, "total_steps": STEPS + 1}),
    "one_cycle_linear": (
        "OneCycleLR",
        {"max_lr": [0.9, 0.3], "epochs": 31, "steps_per_epoch": 10, "anneal_strategy": "linear"},
    ),
    "one_cycle_three": ("OneCycleLR", {"max_lr": 0.9, "total_steps": STEPS + 5, "three_phase": True, "pct_start": 0.2}),
}


def make(library, optimizer="SGD", lrs=(0.5, 0.25)):
    params = [library.zeros(2, requires_grad=True) for _ in lrs]
    groups = [{"params": [param], "lr": lr} for param, lr in zip(params, lrs, strict=True)]
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    return getattr(library.optim, optimizer)(groups, lr=1.0, **options)


def momenta(optimizer):
    return [group["betas"][0] if "betas" in group else group["momentum"] for group in optimizer.param_groups]


def trace(optimizer, scheduler, steps=STEPS):
    rows = []
    for _ in range(steps):
        rows.append((*[group["lr"] for group in optimizer.param_groups], *momenta(optimizer)))
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        rows[-1] += (scheduler.__dict__.get("last_epoch"),)
        optimizer.step()
        scheduler.step()
    return rows


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("row", SCHEDULES)
def test_values_equal_pytorch(torch, row, optimizer):
    name, options = SCHEDULES[row]
    ours, theirs = make(fastnn, optimizer), make(torch, optimizer)
    own = trace(ours, getattr(lr_scheduler, name)(ours, **options))
    reference = trace(theirs, getattr(torch.optim.lr_scheduler, name)(theirs, **options))
    assert own == reference  # the same double operations, so equal to the last bit


@pytest.mark.parametrize("row", [row for row in SCHEDULES if "one_cycle" not in row and "warm" not in row])
def test_explicit_epoch_equals_pytorch(torch, row):
    name, options = SCHEDULES[row]
    ours, theirs = make(fastnn), make(torch)
    own = getattr(lr_scheduler, name)(ours, **options)
    reference = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    for epoch in (3, 50, 7, 120):
        for optimizer, scheduler in ((ours, own), (theirs, reference)):
            optimizer.step()
            with pytest.warns(UserWarning, match="epoch parameter"):
                scheduler.step(epoch)
        assert own.get_last_lr() == reference.get_last_lr()


def test_warm_restarts_between_steps(torch):
    ours, theirs = make(fastnn), make(torch)
    own = lr_scheduler.CosineAnnealingWarmRestarts(ours, T_0=4, T_mult=3)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, T_0=4, T_mult=3)
    for epoch in (0.5, 3.75, 4.0, 15.9, 16.25, 60, 2.0):
        own.step(epoch)
        reference.step(epoch)
        assert own.get_last_lr() == reference.get_last_lr()
        assert own.last_epoch == math.floor(epoch)
    with pytest.raises(ValueError, match="non-negative epoch"):
        own.step(-1)


@pytest.mark.parametrize("resume_at", [1, 17, 40])
@pytest.mark.parametrize("row", ["step", "multistep", "linear", "exponential", "polynomial", "cosine", "lambda"])
def test_resume_from_last_epoch(torch, row, resume_at):
    name, options = SCHEDULES[row]
    results = []
    for library in (fastnn, torch):
        optimizer = make(library)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        scheduler = getattr(library.optim.lr_scheduler, name)(optimizer, **options, last_epoch=resume_at)
        results.append(trace(optimizer, scheduler, 50))
    assert results[0] == results[1]


def compose(library, optimizer, kind):
    module = library.optim.lr_scheduler
    if kind == "sequential":
        parts = [
            module.LinearLR(optimizer, start_factor=0.1, total_iters=10),
            module.CosineAnnealingLR(optimizer, T_max=40),
            module.ExponentialLR(optimizer, gamma=0.9),
        ]
        return module.SequentialLR(optimizer, parts, milestones=[10, 50])
    if kind == "chained":
        parts = [module.ConstantLR(optimizer, factor=0.1, total_iters=5), module.ExponentialLR(optimizer, gamma=0.97)]
        return module.ChainedScheduler(parts)
    parts = [
        module.LambdaLR(optimizer, lambda step: (step + 1) / 10),
        module.MultiplicativeLR(optimizer, lambda step: 0.9),
        module.CosineAnnealingWarmRestarts(optimizer, T_0=10),
    ]
    return module.SequentialLR(optimizer, parts, milestones=[9, 20])


@pytest.mark.parametrize("kind", ["sequential", "chained", "sequential_functions"])
def test_composites_equal_pytorch(torch, kind):
    ours, theirs = make(fastnn), make(torch)
    assert trace(ours, compose(fastnn, ours, kind)) == trace(theirs, compose(torch, theirs, kind))


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau_equals_pytorch(torch, mode, threshold_mode):
    options = {"mode": mode, "threshold_mode": threshold_mode, "factor": 0.97, "patience": 3, "cooldown": 2}
    options |= {"threshold": 0.05, "min_lr": [0.01, 0.02]}
    ours, theirs = make(fastnn), make(torch)
    own = lr_scheduler.ReduceLROnPlateau(ours, **options)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    noise = random.Random(7)
    for step in range(STEPS):
        trend = 1.01**step
        metric = (trend if mode == "max" else 1 / trend) * noise.uniform(0.9, 1.1)
        own.step(metric)
        reference.step(metric)
        assert own.state_dict() == reference.state_dict()
        assert own.get_last_lr() == reference.get_last_lr()
    assert 0.02 < own.get_last_lr()[1] < 0.25
    for _ in range(3 * STEPS):
        own.step(math.nan)
    assert own.get_last_lr() == pytest.approx([0.01, 0.02])


def test_plateau_with_a_new_group():
    optimizer = make(fastnn)
    single = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, min_lr=0.1)
    listed = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, min_lr=[0.1, 0.1])
    optimizer.add_param_group({"params": [fastnn.zeros(1, requires_grad=True)], "lr": 0.125})
    for _ in range(2):
        single.step(1.0)
    assert single.get_last_lr() == [0.25, 0.125, 0.1]
    listed.step(1.0)
    with pytest.raises(RuntimeError, match="number of param groups"):
        listed.step(1.0)


def test_defaults_equal_pytorch(torch):
    for name in lr_scheduler.__all__:
        own, reference = (
            {key: parameter.default for key, parameter in inspect.signature(getattr(module, name)).parameters.items()}
            for module in (lr_scheduler, torch.optim.lr_scheduler)
        )
        assert list(own.items()) == list(reference.items()), name


def test_known_values():
    def rates(name, steps, **options):
        optimizer = SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
        scheduler = getattr(lr_scheduler, name)(optimizer, **options)
        return [row[0] for row in trace(optimizer, scheduler, steps)]

    assert rates("StepLR", 5, step_size=2, gamma=0.5) == [1, 1, 0.5, 0.5, 0.25]
    assert rates("MultiStepLR", 5, milestones=[1, 3], gamma=0.5) == [1, 0.5, 0.5, 0.25, 0.25]
    assert rates("ConstantLR", 4, factor=0.5, total_iters=2) == [0.5, 0.5, 1, 1]
    assert rates("LinearLR", 4, start_factor=0.5, total_iters=2) == [0.5, 0.75, 1, 1]
    assert rates("ExponentialLR", 3, gamma=0.5) == [1, 0.5, 0.25]
    assert rates("PolynomialLR", 4, total_iters=2) == [1, 0.5, 0, 0]
    assert rates("LambdaLR", 3, lr_lambda=lambda step: 2.0**step) == [1, 2, 4]
    assert rates("MultiplicativeLR", 3, lr_lambda=lambda step: 0.5) == [1, 0.5, 0.25]
    assert rates("CosineAnnealingLR", 5, T_max=2) == pytest.approx([1, 0.5, 0, 0.5, 1], abs=1e-15)
    assert rates("CosineAnnealingWarmRestarts", 5, T_0=2) == pytest.approx([1, 0.5, 1, 0.5, 1])
    assert rates("CyclicLR", 5, base_lr=0.5, max_lr=1.0, step_size_up=2) == [0.5, 0.75, 1, 0.75, 0.5]
    assert rates("OneCycleLR", 5, max_lr=1.0, total_steps=5, pct_start=0.4, anneal_strategy="linear") == pytest.approx(
        [0.04, 1, (2 + 4e-6) / 3, (1 + 8e-6) / 3, 4e-6]
    )


def test_momentum_moves_against_the_rate():
    optimizer = Adam([fastnn.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = lr_scheduler.CyclicLR(optimizer, base_lr=0.5, max_lr=1.0, step_size_up=2)
    betas = []
    for _ in range(4):
        betas.append(optimizer.param_groups[0]["betas"])
        optimizer.step()
        scheduler.step()
    assert betas == [
        (0.9, 0.999),
        (pytest.approx(0.85), 0.999),
        (pytest.approx(0.8), 0.999),
        (pytest.approx(0.85), 0.999),
    ]


def test_tensor_rate_keeps_its_identity():
    rate = fastnn.tensor(0.5)
    optimizer = SGD([fastnn.zeros(1, requires_grad=True)], lr=rate)
    scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25
    assert scheduler.base_lrs[0].item() == 0.5
    assert scheduler.get_last_lr()[0] is not rate


@pytest.mark.parametrize("row", [*SCHEDULES, "sequential", "chained", "sequential_functions"])
def test_checkpoint_continues(row):
    def build():
        optimizer = make(fastnn)
        if row in SCHEDULES:
            name, options = SCHEDULES[row]
            return optimizer, getattr(lr_scheduler, name)(optimizer, **options)
        return optimizer, compose(fastnn, optimizer, row)

    optimizer, scheduler = build()
    trace(optimizer, scheduler, 12)
    saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    before = copy.deepcopy(saved[1])
    expected = trace(optimizer, scheduler, 20)
    other, resumed = build()
    other.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    assert saved[1] == before, "loading must not change the checkpoint"
    assert trace(other, resumed, 20) == expected


@pytest.mark.parametrize("row", [row for row in SCHEDULES if "function" not in row])
def test_checkpoint_keys_equal_pytorch(torch, row):
    name, options = SCHEDULES[row]
    own = getattr(lr_scheduler, name)(make(fastnn), **options).state_dict()
    reference = getattr(torch.optim.lr_scheduler, name)(make(torch), **options).state_dict()
    assert own.keys() == reference.keys()
    assert own == reference


def test_checkpoint_keeps_attributes_of_callables():
    optimizer = make(fastnn)
    scheduler = lr_scheduler.LambdaLR(optimizer, [Ramp(0.5), lambda step: 1.0])
    state = pickle.loads(pickle.dumps(scheduler.state_dict()))
    assert state["lr_lambdas"] == [{"slope": 0.5}, None]
    other = lr_scheduler.LambdaLR(make(fastnn), [Ramp(0.0), lambda step: 1.0])
    other.load_state_dict(state)
    assert other.lr_lambdas[0].slope == 0.5
    cyclic = lr_scheduler.CyclicLR(make(fastnn), 0.1, 0.2, scale_fn=Ramp(0.25))
    assert cyclic.state_dict()["_scale_fn_custom"] == {"slope": 0.25}


def test_order_of_steps_is_checked():
    optimizer = make(fastnn)
    scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()  # said once
        optimizer = make(fastnn)
        scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        optimizer.step()
        scheduler.step()
        second = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        second.step()  # the optimizer has stepped before
    optimizer = make(fastnn)
    optimizer.step()
    scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    with pytest.warns(UserWarning, match="Detected call"):
        scheduler.step()  # it has not stepped since the schedule was made


def test_get_lr_outside_step_warns():
    scheduler = lr_scheduler.ExponentialLR(make(fastnn), gamma=0.5)
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()


def test_user_defined_schedule():
    class Halving(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = make(fastnn)
    assert [row[:2] for row in trace(optimizer, Halving(optimizer), 3)] == [(0.5, 0.25), (0.25, 0.125), (0.125, 0.0625)]
    assert issubclass(Halving, lr_scheduler._LRScheduler)
    with pytest.raises(NotImplementedError, match="get_lr"):
        lr_scheduler.LRScheduler(optimizer)


BAD_ARGUMENTS = [
    (TypeError, "not an Optimizer", lambda o: lr_scheduler.StepLR("sgd", 3)),
    (TypeError, "not an Optimizer", lambda o: lr_scheduler.LambdaLR(None, lambda step: 1)),
    (TypeError, "not an Optimizer", lambda o: lr_scheduler.ReduceLROnPlateau([])),
    (TypeError, "not an Optimizer", lambda o: lr_scheduler.CyclicLR([], 0.1, 0.2)),
    (TypeError, "not an Optimizer", lambda o: lr_scheduler.OneCycleLR([], 0.1, 10)),
    (KeyError, "initial_lr", lambda o: lr_scheduler.StepLR(o, 3, last_epoch=5)),
    (ValueError, "Expected 2 lr_lambdas", lambda o: lr_scheduler.LambdaLR(o, [lambda step: 1])),
    (TypeError, "should be a function", lambda o: lr_scheduler.MultiplicativeLR(o, 0.5)),
    (ValueError, "between 0 and 1", lambda o: lr_scheduler.ConstantLR(o, factor=1.5)),
    (ValueError, "greater than 0", lambda o: lr_scheduler.LinearLR(o, start_factor=0)),
    (ValueError, "between 0 and 1", lambda o: lr_scheduler.LinearLR(o, end_factor=-1)),
    (ValueError, "positive integer T_0", lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0)),
    (ValueError, "T_mult", lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, 0)),
    (ValueError, "eta_min", lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, eta_min="0")),
    (ValueError, "at least one scheduler", lambda o: lr_scheduler.ChainedScheduler([])),
    (ValueError, "at least one scheduler", lambda o: lr_scheduler.SequentialLR(o, [], [])),
    (TypeError, "should have `optimizer`", lambda o: lr_scheduler.ChainedScheduler([3], o)),
    (ValueError, "one more than", lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 3)], [3])),
    (ValueError, "same optimizer", lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(make(fastnn), 3)], o)),
    (ValueError, "ReduceLROnPlateau", lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)])),
    (ValueError, "Factor should be", lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0)),
    (ValueError, "mode best is unknown", lambda o: lr_scheduler.ReduceLROnPlateau(o, mode="best")),
    (ValueError, "threshold mode", lambda o: lr_scheduler.ReduceLROnPlateau(o, threshold_mode="x")),
    (ValueError, "min_lr", lambda o: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0.1])),
    (ValueError, "mode is invalid", lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.2, mode="square")),
    (ValueError, "base_lr must have the same length", lambda o: lr_scheduler.CyclicLR(o, [0.1], 0.2)),
    (ValueError, "either total_steps OR", lambda o: lr_scheduler.OneCycleLR(o, 0.1)),
    (ValueError, "integer total_steps", lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=0)),
    (ValueError, "integer epochs", lambda o: lr_scheduler.OneCycleLR(o, 0.1, epochs=-1, steps_per_epoch=3)),
    (ValueError, "pct_start", lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=9, pct_start=2.0)),
    (ValueError, "anneal_strategy", lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=9, anneal_strategy="x")),
]


@pytest.mark.parametrize(("error", "text", "call"), BAD_ARGUMENTS)
def test_bad_arguments(error, text, call):
    optimizer = make(fastnn)
    with pytest.raises(error, match=text):
        call(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]


def test_one_cycle_ends():
    optimizer = make(fastnn)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    with pytest.raises(ValueError, match="Tried to step 4 times"):
        scheduler.step()


def test_momentum_cycle_needs_a_momentum():
    class Plain(fastnn.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 0.1})

    for name, options in (
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.2}),
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 9}),
    ):
        with pytest.raises(ValueError, match="momentum or beta1"):
            getattr(lr_scheduler, name)(Plain([fastnn.zeros(1, requires_grad=True)]), **options)
