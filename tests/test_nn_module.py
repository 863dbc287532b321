"""nn.Module and the containers: registration, traversal, hooks, state dicts, conversion, text."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from nn_parity import check_same, check_same_error, in_fastnn_words, plain

import fastnn
from fastnn import nn


def small_net(T: Any) -> Any:
    """A module with every kind of member: parameters, buffers, children, a shared child, plain attributes."""

    class Net(T.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.scale = T.nn.Parameter(T.ones(2))
            self.register_parameter("nothing", None)
            self.register_buffer("count", T.zeros(1))
            self.register_buffer("cache", T.zeros(3), persistent=False)
            self.register_buffer("no_buffer", None)
            self.body = T.nn.Sequential(T.nn.Linear(2, 3), T.nn.ReLU(), T.nn.Linear(3, 2))
            self.shared = self.body[0]
            self.tied = T.nn.Linear(2, 3)
            self.tied.weight = self.body[0].weight
            self.plain = 5

        def forward(self, x: Any, factor: float = 1.0) -> Any:
            return self.body(x) * self.scale * factor

    return Net()


class Pickled(nn.Module):
    """At module level, so that pickle finds it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("steps", fastnn.zeros(1))


# --- registration and attributes ---


def test_members_are_registered_by_attribute() -> None:
    net = small_net(fastnn)
    assert [name for name, _ in net.named_parameters()] == [
        "scale",
        "body.0.weight",
        "body.0.bias",
        "body.2.weight",
        "body.2.bias",
        "tied.bias",
    ]
    assert [name for name, _ in net.named_buffers()] == ["count", "cache"]
    assert net.nothing is None
    assert net.no_buffer is None
    assert net.plain == 5
    assert "scale" not in net.__dict__


TRAVERSALS = {
    "parameters": lambda net: [n for n, _ in net.named_parameters()],
    "parameters_duplicates": lambda net: [n for n, _ in net.named_parameters(remove_duplicate=False)],
    "parameters_prefix": lambda net: [n for n, _ in net.named_parameters(prefix="p")],
    "parameters_own": lambda net: [n for n, _ in net.named_parameters(recurse=False)],
    "parameters_values": lambda net: [tuple(p.shape) for p in net.parameters()],
    "buffers": lambda net: [n for n, _ in net.named_buffers(prefix="b")],
    "buffers_values": lambda net: [tuple(b.shape) for b in net.buffers(recurse=False)],
    "modules": lambda net: [n for n, _ in net.named_modules()],
    "modules_duplicates": lambda net: [n for n, _ in net.named_modules(remove_duplicate=False, prefix="x")],
    "modules_values": lambda net: [type(m).__name__ for m in net.modules()],
    "children": lambda net: [n for n, _ in net.named_children()],
    "children_values": lambda net: [type(m).__name__ for m in net.children()],
    "state_dict": lambda net: list(net.state_dict(prefix="s.")),
    "repr": repr,
    "dir": lambda net: [n for n in dir(net) if n in ("scale", "count", "body", "plain", "forward")],
    "submodule": lambda net: repr(net.get_submodule("body.2")),
    "parameter": lambda net: net.get_parameter("body.2.bias").tolist() is not None,
    "buffer": lambda net: net.get_buffer("count").tolist(),
}


@pytest.mark.parametrize("name", TRAVERSALS)
def test_traversal(name: str) -> None:
    check_same(lambda T: TRAVERSALS[name](small_net(T)))


def _set(net: Any, name: str, value: Any) -> None:
    setattr(net, name, value)


def _uninitialised(T: Any, value: Any) -> None:
    class Broken(T.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            self.value = value

    Broken()


ERRORS = {
    "tensor_for_parameter": lambda T, net: _set(net, "scale", T.zeros(2)),
    "int_for_parameter": lambda T, net: _set(net, "scale", 3),
    "tensor_for_module": lambda T, net: _set(net, "body", T.zeros(2)),
    "int_for_buffer": lambda T, net: _set(net, "count", 3),
    "unknown_attribute": lambda T, net: net.unknown,
    "delete_unknown": lambda T, net: delattr(net, "unknown"),
    "parameter_before_init": lambda T, net: _uninitialised(T, T.nn.Parameter(T.zeros(1))),
    "module_before_init": lambda T, net: _uninitialised(T, net),
    "buffer_before_init": lambda T, net: _uninitialised(T, T.nn.Buffer(T.zeros(1))),
    "register_parameter_tensor": lambda T, net: net.register_parameter("x", T.zeros(1)),
    "register_parameter_name": lambda T, net: net.register_parameter(3, None),
    "register_parameter_dot": lambda T, net: net.register_parameter("a.b", None),
    "register_parameter_empty": lambda T, net: net.register_parameter("", None),
    "register_parameter_taken": lambda T, net: net.register_parameter("body", None),
    "register_buffer_int": lambda T, net: net.register_buffer("x", 3),
    "register_buffer_name": lambda T, net: net.register_buffer(3, None),
    "register_buffer_dot": lambda T, net: net.register_buffer("a.b", None),
    "register_buffer_empty": lambda T, net: net.register_buffer("", None),
    "register_buffer_taken": lambda T, net: net.register_buffer("plain", None),
    "add_module_int": lambda T, net: net.add_module("x", 3),
    "add_module_name": lambda T, net: net.add_module(3, T.nn.ReLU()),
    "add_module_dot": lambda T, net: net.add_module("a.b", T.nn.ReLU()),
    "add_module_empty": lambda T, net: net.add_module("", T.nn.ReLU()),
    "add_module_taken": lambda T, net: net.add_module("scale", T.nn.ReLU()),
    "get_submodule_unknown": lambda T, net: net.get_submodule("body.7"),
    "get_submodule_parameter": lambda T, net: net.get_submodule("scale"),
    "get_parameter_unknown": lambda T, net: net.get_parameter("body.0.nothing"),
    "get_parameter_buffer": lambda T, net: net.get_parameter("count"),
    "get_buffer_unknown": lambda T, net: net.get_buffer("nothing_here"),
    "get_buffer_parameter": lambda T, net: net.get_buffer("scale"),
    "set_submodule_empty": lambda T, net: net.set_submodule("", T.nn.ReLU()),
    "set_submodule_parameter": lambda T, net: net.set_submodule("scale", T.nn.ReLU()),
    "set_submodule_strict": lambda T, net: net.set_submodule("new", T.nn.ReLU(), strict=True),
    "train_mode": lambda T, net: net.train("yes"),
    "no_forward": lambda T, net: T.nn.Module()(1),
    "init_args": lambda T, net: T.nn.Module(1),
    "init_kwargs": lambda T, net: T.nn.Module(a=1),
    "to_integer": lambda T, net: net.to(T.int32),
    "load_list": lambda T, net: net.load_state_dict([]),
    "sequential_index": lambda T, net: net.body[3],
    "sequential_add": lambda T, net: net.body + 1,
    "sequential_times": lambda T, net: net.body * 0,
    "sequential_times_float": lambda T, net: net.body * 1.5,
    "sequential_insert": lambda T, net: net.body.insert(9, T.nn.ReLU()),
    "sequential_item": lambda T, net: T.nn.Sequential(3),
    "module_list_item": lambda T, net: T.nn.ModuleList([3]),
    "module_list_extend": lambda T, net: T.nn.ModuleList().extend(3),
    "module_list_index": lambda T, net: T.nn.ModuleList([net])[1],
    "module_list_call": lambda T, net: T.nn.ModuleList()(1),
    "module_dict_update": lambda T, net: T.nn.ModuleDict(3),
    "module_dict_pairs": lambda T, net: T.nn.ModuleDict([(1, 2, 3)]),
    "module_dict_elements": lambda T, net: T.nn.ModuleDict([3]),
    "module_dict_key": lambda T, net: T.nn.ModuleDict()["x"],
    "parameter_list_tensor": lambda T, net: T.nn.ParameterList(T.zeros(2)),
    "parameter_list_index": lambda T, net: T.nn.ParameterList([])[0],
    "parameter_list_call": lambda T, net: T.nn.ParameterList([])(1),
    "parameter_dict_key": lambda T, net: T.nn.ParameterDict({3: T.zeros(1)}),
    "parameter_dict_missing": lambda T, net: T.nn.ParameterDict()["x"],
    "parameter_dict_update": lambda T, net: T.nn.ParameterDict(3),
    "parameter_dict_call": lambda T, net: T.nn.ParameterDict()(1),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    check_same_error(lambda T: ERRORS[name](T, small_net(T)))


def test_a_non_leaf_is_no_parameter() -> None:
    net = nn.Module()
    result = nn.Parameter(fastnn.ones(2)) * 2
    with pytest.raises(TypeError, match="cannot assign"):
        net.register_parameter("x", result)


def test_parameter_needs_a_tensor() -> None:
    with pytest.raises(TypeError, match="data must be a Tensor"):
        nn.Parameter(3)  # type: ignore[arg-type]


def test_attribute_moves_between_tables() -> None:
    def run(T: Any) -> Any:
        net = small_net(T)
        log = []
        net.count = T.nn.Parameter(T.ones(1))
        log.append([sorted(net._parameters), sorted(net._buffers)])
        net.scale = None
        net.body = None
        log.append([net.scale is None, net.body is None, sorted(net._modules)])
        net.plain = T.nn.ReLU()
        log.append([sorted(net._modules), "plain" in net.__dict__])
        net.fresh = T.nn.Buffer(T.ones(1), persistent=False)
        net.cache = T.nn.Buffer(T.ones(1))
        log.append([sorted(net._buffers), sorted(net._non_persistent_buffers_set)])
        del net.cache, net.scale, net.plain
        log.append([sorted(net._buffers), sorted(net._parameters), sorted(net._modules)])
        net.value = T.zeros(1)
        log.append("value" in net.__dict__)
        return log

    check_same(run)


def test_a_class_without_super_init_arguments_can_opt_in() -> None:
    def run(T: Any) -> Any:
        class Mixin:
            def __init__(self, size: int) -> None:
                self.size = size

        class Both(T.nn.Module, Mixin):  # type: ignore[misc,name-defined]
            call_super_init = True

        return Both(3).size

    check_same(run)


def test_buffer_and_parameter_types() -> None:
    buffer = nn.Buffer(fastnn.ones(2), persistent=False)
    assert isinstance(buffer, fastnn.Tensor)
    assert isinstance(buffer, nn.Buffer)
    assert not buffer.requires_grad
    assert not buffer.persistent
    parameter = nn.Parameter(fastnn.ones(2), requires_grad=False)
    assert isinstance(parameter, fastnn.Tensor)
    assert not parameter.requires_grad
    assert not isinstance(parameter * 2, nn.Parameter)
    assert nn.Parameter().shape == (0,)
    assert repr(nn.Parameter(fastnn.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"


def test_parameter_shares_memory_with_its_data() -> None:
    data = fastnn.zeros(2)
    parameter = nn.Parameter(data)
    data.add_(1)
    assert parameter.tolist() == [1.0, 1.0]


# --- calls and hooks ---


def hooked_call(T: Any, register: Any, *args: Any, **kwargs: Any) -> Any:
    """Register hooks, call, remove them, call again; returns (log, first output, second output)."""
    net = small_net(T)
    log: list[Any] = []
    handles = register(T, net, log)
    first = net(*[T.ones(2) for _ in args] or [T.ones(2)], **kwargs)
    for handle in handles:
        handle.remove()
        handle.remove()
    return [log, first, net(T.ones(2), **kwargs)]


def _forward_hooks(T: Any, net: Any, log: list[Any]) -> list[Any]:
    return [
        net.register_forward_hook(lambda m, a, out: log.append(["plain", len(a), tuple(out.shape)])),
        net.register_forward_hook(lambda m, a, k, out: log.append(["kwargs", k]), with_kwargs=True),
        net.register_forward_hook(lambda m, a, out: out + 1),
        net.register_forward_hook(lambda m, a, out: log.append("first"), prepend=True),
        net.body[1].register_forward_hook(lambda m, a, out: out * 2),
    ]


def _pre_hooks(T: Any, net: Any, log: list[Any]) -> list[Any]:
    return [
        net.register_forward_pre_hook(lambda m, a: log.append(["pre", len(a)])),
        net.register_forward_pre_hook(lambda m, a: a[0] * 2),
        net.register_forward_pre_hook(lambda m, a, k: ((a[0] + 1,), {"factor": 3.0}), with_kwargs=True),
        net.register_forward_pre_hook(lambda m, a: log.append("first"), prepend=True),
    ]


def _global_hooks(T: Any, net: Any, log: list[Any]) -> list[Any]:
    register = T.nn.modules.module
    return [
        register.register_module_forward_pre_hook(lambda m, a: log.append(["pre", type(m).__name__])),
        register.register_module_forward_hook(lambda m, a, out: log.append(["post", type(m).__name__])),
        register.register_module_forward_hook(lambda m, a, k, out: log.append(k), with_kwargs=True),
        net.register_forward_hook(lambda m, a, out: log.append("own")),
    ]


@pytest.mark.parametrize("register", [_forward_hooks, _pre_hooks, _global_hooks])
def test_forward_hooks(register: Any) -> None:
    check_same(lambda T: hooked_call(T, register, factor=2.0))


def test_always_call_hook_sees_a_forward_that_raises() -> None:
    def run(T: Any) -> Any:
        class Failing(T.nn.Module):  # type: ignore[misc,name-defined]
            def forward(self, x: Any) -> Any:
                raise ValueError("broken")

        net, log = Failing(), []
        net.register_forward_hook(lambda m, a, out: log.append(["always", out]), always_call=True)
        net.register_forward_hook(lambda m, a, out: log.append("usual"))
        with pytest.raises(ValueError, match="broken"):
            net(1)
        return log

    check_same(run)


def test_pre_hook_with_kwargs_must_return_a_pair() -> None:
    net = nn.Identity()
    net.register_forward_pre_hook(lambda m, a, k: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple"):
        net(1)


def test_backward_hooks() -> None:
    def run(T: Any) -> Any:
        log: list[Any] = []
        net = T.nn.Sequential(T.nn.Linear(2, 3), T.nn.Tanh(), T.nn.Linear(3, 1))
        net[1].register_full_backward_hook(lambda m, gi, go: log.append([*map(plain, gi), *map(plain, go)]))
        net[2].register_full_backward_pre_hook(lambda m, go: (go[0] * 2,))
        net[2].register_full_backward_hook(lambda m, gi, go: (gi[0] * 3,))
        net[0].register_full_backward_hook(lambda m, gi, go: log.append([gi, plain(go[0])]))
        net(T.ones(4, 2, requires_grad=True)).sum().backward()
        return [log, [p.grad for p in net.parameters()]]

    check_same(run)


def test_backward_hooks_of_several_inputs_and_outputs() -> None:
    def run(T: Any) -> Any:
        class Pair(T.nn.Module):  # type: ignore[misc,name-defined]
            def forward(self, a: Any, scale: float, b: Any) -> Any:
                return a * scale, b + a

        log: list[Any] = []
        net = Pair()
        net.register_full_backward_hook(lambda m, gi, go: log.append([list(gi), list(go)]))
        a, b = T.ones(2, requires_grad=True), T.ones(2)
        first, second = net(a, 3.0, b)
        (first * 2 + second).sum().backward()
        return [log, a.grad]

    check_same(run)


def test_global_backward_hooks() -> None:
    def run(T: Any) -> Any:
        log: list[Any] = []
        register = T.nn.modules.module
        with (
            register.register_module_full_backward_hook(lambda m, gi, go: log.append([type(m).__name__, go[0]])),
            register.register_module_full_backward_pre_hook(lambda m, go: log.append(type(m).__name__)),
        ):
            net = T.nn.Sequential(T.nn.Linear(2, 2), T.nn.ReLU())
            net(T.ones(1, 2, requires_grad=True)).sum().backward()
        return log

    check_same(run)


def test_backward_hook_without_input_gradients() -> None:
    def run(T: Any) -> Any:
        log: list[Any] = []
        net = T.nn.Linear(2, 1)
        net.register_full_backward_hook(lambda m, gi, go: log.append([gi, go]))
        with pytest.warns(UserWarning, match="Full backward hook is firing"):
            net(T.ones(1, 2)).sum().backward()
        return log

    check_same(run)


def test_full_and_plain_backward_hooks_do_not_mix() -> None:
    def run(T: Any) -> Any:
        net = T.nn.Identity()
        net.register_full_backward_hook(lambda m, gi, go: None)
        net.register_backward_hook(lambda m, gi, go: None)

    check_same_error(run)


def test_backward_hook_must_return_as_many_gradients() -> None:
    def run(T: Any) -> Any:
        net = T.nn.Identity()
        net.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
        net(T.ones(2, requires_grad=True)).sum().backward()

    check_same_error(run)


def test_plain_backward_hook_sees_the_last_node() -> None:
    grads: list[Any] = []
    net = nn.Linear(2, 1)
    net.register_backward_hook(lambda m, gi, go: grads.append(go[0].tolist()))
    net(fastnn.ones(1, 2)).sum().backward()
    assert grads == [[[1.0]]]


def test_registration_hooks() -> None:
    def run(T: Any) -> Any:
        log: list[Any] = []
        register = T.nn.modules.module
        handles = [
            register.register_module_parameter_registration_hook(lambda m, n, p: log.append(["p", n])),
            register.register_module_buffer_registration_hook(lambda m, n, b: log.append(["b", n])),
            register.register_module_module_registration_hook(lambda m, n, c: log.append(["m", n])),
        ]
        T.nn.Sequential(T.nn.BatchNorm1d(2))
        for handle in handles:
            handle.remove()
        T.nn.Linear(1, 1)
        return log

    check_same(run)


def test_call_without_hooks_goes_straight_to_forward() -> None:
    class Probe(nn.Module):
        def forward(self, x: int, *, y: int = 0) -> tuple[int, int]:
            return x, y

        def _call_hooked(self, args: Any, kwargs: Any) -> Any:
            raise AssertionError("the slow path")

    assert Probe()(1, y=2) == (1, 2)


# --- state dicts ---


def test_state_dict_round_trip() -> None:
    net, other = small_net(fastnn), small_net(fastnn)
    state = net.state_dict()
    assert isinstance(state, OrderedDict)
    assert state._metadata["body.0"] == {"version": 1}  # type: ignore[attr-defined]
    assert not state["scale"].requires_grad
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert repr(other.load_state_dict(state)) == "<All keys matched successfully>"
    assert plain(other.state_dict()).keys() == plain(state).keys()
    for name, value in state.items():
        assert other.state_dict()[name].tolist() == value.tolist()
    assert state["scale"].data_ptr() == net.scale.data_ptr()


def _load(T: Any, change: Any, **options: Any) -> Any:
    net = small_net(T)
    state = net.state_dict()
    change(T, state)
    result = net.load_state_dict(state, **options)
    return [list(result.missing_keys), list(result.unexpected_keys), repr(result)]


CHANGES = {
    "missing": lambda T, s: s.pop("body.2.bias"),
    "unexpected": lambda T, s: s.update({"new": T.zeros(1), "body.9.x": T.zeros(1), "scale.x": T.zeros(1)}),
    "shape": lambda T, s: s.update({"body.0.weight": T.zeros(5, 2)}),
    "not_a_tensor": lambda T, s: s.update({"scale": 3}),
    "all": lambda T, s: (s.pop("count"), s.update({"z": T.zeros(1), "scale": T.zeros(3)})),
    "extra_state": lambda T, s: s.update({"body._extra_state": 1}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_strict_load_errors(name: str) -> None:
    check_same_error(lambda T: _load(T, CHANGES[name]))


@pytest.mark.parametrize("name", ["missing", "unexpected", "extra_state"])
def test_loose_load_reports(name: str) -> None:
    check_same(lambda T: _load(T, CHANGES[name], strict=False))


@pytest.mark.parametrize("name", ["shape", "not_a_tensor", "all"])
def test_loose_load_errors(name: str) -> None:
    check_same_error(lambda T: _load(T, CHANGES[name], strict=False))


@pytest.mark.parametrize("name", CHANGES)
def test_a_failed_load_changes_nothing(name: str) -> None:
    net = small_net(fastnn)
    before = plain(net.state_dict())
    state = {key: value + 1 for key, value in net.state_dict().items()}
    CHANGES[name](fastnn, state)
    with pytest.raises(RuntimeError):
        net.load_state_dict(state)
    after = plain(net.state_dict())
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value)


def test_assign_takes_the_tensors_themselves() -> None:
    net = nn.Linear(2, 2)
    net.weight.requires_grad_(False)
    state = {"weight": fastnn.ones(2, 2, dtype=fastnn.float64), "bias": nn.Parameter(fastnn.zeros(2))}
    net.load_state_dict(state, assign=True)
    assert net.weight.dtype == fastnn.float64
    assert isinstance(net.weight, nn.Parameter)
    assert not net.weight.requires_grad
    assert net.weight.data_ptr() == state["weight"].data_ptr()
    assert net.bias is state["bias"]


def test_load_keeps_the_dtype_and_the_memory() -> None:
    net = nn.Linear(2, 2)
    pointer = net.weight.data_ptr()
    net.load_state_dict({"weight": fastnn.ones(2, 2, dtype=fastnn.float64), "bias": fastnn.zeros(2)})
    assert net.weight.dtype == fastnn.float32
    assert net.weight.data_ptr() == pointer
    assert net.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_extra_state() -> None:
    def run(T: Any) -> Any:
        class Counting(T.nn.Module):  # type: ignore[misc,name-defined]
            calls = 0

            def get_extra_state(self) -> Any:
                return {"calls": self.calls}

            def set_extra_state(self, state: Any) -> None:
                self.calls = state["calls"]

        net, other = T.nn.Sequential(Counting()), T.nn.Sequential(Counting())
        net[0].calls = 4
        other.load_state_dict(net.state_dict())
        missing = other.load_state_dict({}, strict=False).missing_keys
        return [list(net.state_dict()), other[0].calls, missing]

    check_same(run)


def test_state_dict_hooks() -> None:
    def run(T: Any) -> Any:
        log: list[Any] = []
        net = T.nn.Sequential(T.nn.Linear(1, 1))
        net.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(["pre", prefix, keep]))
        net.register_state_dict_post_hook(lambda m, s, prefix, meta: s.update(extra=T.ones(1)))
        net[0].register_load_state_dict_pre_hook(lambda m, s, prefix, *rest: log.append([prefix, len(s)]))
        net._register_load_state_dict_pre_hook(lambda s, prefix, *rest: s.pop("extra"))
        net.register_load_state_dict_post_hook(lambda m, keys: log.append([keys.missing_keys]))
        state = net.state_dict()
        net.load_state_dict(state)
        return [log, list(state)]

    check_same(run)


def test_load_post_hook_may_forgive_missing_keys() -> None:
    def run(T: Any) -> Any:
        net = T.nn.Linear(2, 2)
        net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
        net.load_state_dict({"weight": T.ones(2, 2)})
        return net.weight

    check_same(run)


def test_custom_load_from_state_dict() -> None:
    def run(T: Any) -> Any:
        class Renamed(T.nn.Linear):  # type: ignore[misc,name-defined]
            def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
                if prefix + "w" in state:
                    state[prefix + "weight"] = state.pop(prefix + "w")
                super()._load_from_state_dict(state, prefix, *rest)

        net = T.nn.Sequential(Renamed(2, 1))
        net.load_state_dict({"0.w": T.ones(1, 2), "0.bias": T.zeros(1)})
        return net.state_dict()

    check_same(run)


def test_positional_state_dict_arguments_warn() -> None:
    with pytest.warns(FutureWarning, match="Positional args"):
        state = nn.Linear(1, 1).state_dict(OrderedDict(), "p.")
    assert list(state) == ["p.weight", "p.bias"]


def test_old_batch_norm_checkpoints_load() -> None:
    norm = nn.BatchNorm1d(2)
    state = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    assert repr(norm.load_state_dict(state)) == "<All keys matched successfully>"


# --- mode, gradients, conversion ---


def test_train_and_eval() -> None:
    net = small_net(fastnn)
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())


def test_zero_grad_and_requires_grad() -> None:
    net = nn.Linear(2, 1)
    net(fastnn.ones(1, 2)).sum().backward()
    gradient = net.weight.grad
    net.zero_grad(set_to_none=False)
    assert net.weight.grad is gradient
    assert gradient.tolist() == [[0.0, 0.0]]
    net.zero_grad()
    assert net.weight.grad is None
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


CONVERSIONS = {
    "double": lambda T, net: net.double(),
    "half": lambda T, net: net.half(),
    "bfloat16": lambda T, net: net.bfloat16(),
    "float": lambda T, net: net.double().float(),
    "to_dtype": lambda T, net: net.to(T.float64),
    "to_device": lambda T, net: net.to("cpu"),
    "to_device_object": lambda T, net: net.to(T.device("cpu")),
    "to_device_dtype": lambda T, net: net.to("cpu", T.float64, True),
    "to_tensor": lambda T, net: net.to(T.zeros(1, dtype=T.float64)),
    "to_keywords": lambda T, net: net.to(device="cpu", dtype=T.float16, non_blocking=False),
    "to_none": lambda T, net: net.to(None),
    "type": lambda T, net: net.type(T.float64),
    "cpu": lambda T, net: net.cpu(),
    "to_empty": lambda T, net: net.to_empty(device="cpu"),
}


@pytest.mark.parametrize("name", CONVERSIONS)
def test_conversion(name: str) -> None:
    def run(T: Any) -> Any:
        net = T.nn.Sequential(T.nn.Linear(2, 2), T.nn.BatchNorm1d(2))
        weight = net[0].weight
        net(T.ones(3, 2)).sum().backward()
        assert CONVERSIONS[name](T, net) is net
        assert net[0].weight is weight
        grad_dtypes = [str(p.grad.dtype) for p in net.parameters()]
        return [[str(v.dtype) for v in net.state_dict().values()], grad_dtypes, weight.requires_grad]

    check_same(run)


@pytest.mark.parametrize("convert", [lambda net: net.to(wrong=1), lambda net: net.to("cpu", "x", 3)])
def test_to_rejects_what_it_does_not_know(convert: Any) -> None:
    with pytest.raises(TypeError, match=r"to\(\) received an"):
        convert(nn.Linear(1, 1))


def test_cuda_is_a_clear_error() -> None:
    with pytest.raises(AssertionError, match="CPU only"):
        nn.Linear(1, 1).cuda()


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    small_net(fastnn).apply(lambda module: seen.append(type(module).__name__))
    assert seen[-1] == "Net"
    assert seen.count("Linear") == 4


# --- copies ---


def test_deepcopy_keeps_sharing_and_shares_nothing_with_the_original() -> None:
    net = small_net(fastnn)
    twin = copy.deepcopy(net)
    assert twin.tied.weight is twin.body[0].weight
    assert twin.tied.weight is not net.tied.weight
    assert twin.shared is twin.body[0]
    with fastnn.no_grad():
        twin.scale.add_(1)
    assert net.scale.tolist() == [1.0, 1.0]
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]


def test_pickle_round_trip() -> None:
    net = Pickled()
    net.layer.bias.requires_grad_(False)
    twin = pickle.loads(pickle.dumps(net))
    assert isinstance(twin.layer.weight, nn.Parameter)
    assert not twin.layer.bias.requires_grad
    assert list(twin.state_dict()) == list(net.state_dict())
    assert twin.layer.weight.tolist() == net.layer.weight.tolist()


def test_a_module_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        net = small_net(fastnn)
        net(fastnn.ones(2)).sum().backward()
        reference = weakref.ref(net)
        del net
        assert reference() is None
    finally:
        gc.enable()


# --- containers and text ---

CONTAINERS = {
    "sequential": lambda nn_, T: nn_.Sequential(nn_.Linear(1, 2), nn_.Sequential(nn_.ReLU(), nn_.Tanh())),
    "sequential_named": lambda nn_, T: nn_.Sequential(OrderedDict(a=nn_.ReLU(), b=nn_.Tanh())),
    "sequential_slice": lambda nn_, T: nn_.Sequential(nn_.ReLU(), nn_.Tanh(), nn_.ELU())[1:],
    "sequential_add": lambda nn_, T: nn_.Sequential(nn_.ReLU()) + nn_.Sequential(nn_.Tanh()),
    "sequential_times": lambda nn_, T: 2 * nn_.Sequential(nn_.ReLU(), nn_.Tanh()),
    "sequential_insert": lambda nn_, T: nn_.Sequential(nn_.ReLU()).insert(0, nn_.Tanh()).append(nn_.ELU()),
    "module_list": lambda nn_, T: nn_.ModuleList([nn_.ReLU(), nn_.ReLU(), nn_.Tanh(), nn_.ReLU()]),
    "module_list_add": lambda nn_, T: nn_.ModuleList([nn_.ReLU()]).__add__([nn_.Tanh()])[-1:],
    "module_list_empty": lambda nn_, T: nn_.ModuleList(),
    "module_dict": lambda nn_, T: nn_.ModuleDict({"b": nn_.ReLU(), "a": nn_.ModuleList([nn_.Linear(1, 1)] * 2)}),
    "parameter_list": lambda nn_, T: nn_.ParameterList([T.zeros(2, 3), T.zeros(3), 5]),
    "parameter_dict": lambda nn_, T: nn_.ParameterDict({"b": T.zeros(2), "a": T.zeros(1, 2), "c": 3}),
    "empty": lambda nn_, T: nn_.Module(),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_text_and_keys(name: str) -> None:
    def run(T: Any) -> Any:
        module = CONTAINERS[name](T.nn, T)
        return [repr(module), list(module.state_dict())]

    check_same(run)


def test_sequential_edits() -> None:
    def run(T: Any) -> Any:
        net = T.nn.Sequential(T.nn.ReLU(), T.nn.Tanh(), T.nn.ELU(), T.nn.GELU())
        del net[1]
        net[-1] = T.nn.SiLU()
        popped = net.pop(0)
        net += T.nn.Sequential(T.nn.Mish())
        net *= 2
        del net[1:3]
        return [repr(popped), repr(net), len(net), "0" in dir(net)]

    check_same(run)


def test_module_list_edits() -> None:
    def run(T: Any) -> Any:
        net = T.nn.ModuleList([T.nn.ReLU(), T.nn.Tanh(), T.nn.ELU()])
        del net[0]
        net.insert(1, T.nn.GELU())
        net[0] = T.nn.SiLU()
        net.append(T.nn.Mish()).extend([T.nn.CELU()])
        del net[1:3]
        net += [T.nn.Sigmoid()]
        return [repr(net), repr(net.pop(-1)), len(net), list(net._modules)]

    check_same(run)


def test_module_dict_edits() -> None:
    def run(T: Any) -> Any:
        net = T.nn.ModuleDict([("a", T.nn.ReLU())])
        net.update({"c": T.nn.Tanh(), "b": T.nn.ELU()})
        net["d"] = T.nn.GELU()
        del net["a"]
        log = [list(net.keys()), [repr(v) for v in net.values()], [k for k, _ in net.items()]]
        log += [repr(net.pop("b")), "b" in net, len(net), list(net)]
        net.clear()
        return [*log, len(net)]

    check_same(run)


def test_parameter_containers_edits() -> None:
    def run(T: Any) -> Any:
        values = T.nn.ParameterList([T.zeros(1)])
        values.append(T.ones(2)).extend([T.nn.Parameter(T.ones(3)), 7])
        values += [T.zeros(4)]
        values[0] = T.ones(5)
        table = T.nn.ParameterDict({"a": T.zeros(1)})
        table["b"] = T.ones(2)
        table.update(OrderedDict(z=T.zeros(1), y=T.zeros(1)))
        other = table | {"k": T.ones(1)}
        log = [list(table), list(other), table.get("none", 3), table.setdefault("a") is table["a"]]
        log += [[n for n, _ in values.named_parameters()], len(values), [type(v).__name__ for v in values[1:4]]]
        table.pop("z")
        name, _ = table.popitem()
        del table["a"]
        return [*log, name, list(table), list(reversed(other)), list(table.fromkeys(["q"], 1.0).items())]

    check_same(run)


def test_share_of_the_words() -> None:
    assert in_fastnn_words("cannot assign 'fastnn.nn.X'") == "cannot assign 'nn.X'"
