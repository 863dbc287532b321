"""Trees of Python containers: take them apart into leaves and a structure, and put them together again."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "LeafSpec",
    "PyTree",
    "TreeSpec",
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_is_leaf",
    "tree_iter",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
]

PyTree: TypeAlias = Any
Context: TypeAlias = Any
FlattenFunc: TypeAlias = "Callable[[Any], tuple[list[Any], Any]]"
UnflattenFunc: TypeAlias = "Callable[[Iterable[Any], Any], Any]"


class NodeDef(NamedTuple):
    """How a type of containers is taken apart and put together."""

    type: type
    flatten_fn: FlattenFunc
    unflatten_fn: UnflattenFunc
    flatten_with_keys_fn: Any = None


class MappingKey(NamedTuple):
    """The way to a value of a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """The value."""
        return mapping[self.key]


class SequenceKey(NamedTuple):
    """The way to an element of a list or tuple."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """The element."""
        return sequence[self.idx]


class GetAttrKey(NamedTuple):
    """The way to an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """The attribute."""
        return getattr(obj, self.name)


SUPPORTED_NODES: dict[type, NodeDef] = {}
SUPPORTED_SERIALIZED_TYPES: dict[str, type] = {}


def register_pytree_node(
    cls: type,
    flatten_fn: FlattenFunc,
    unflatten_fn: UnflattenFunc,
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Any = None,
    from_dumpable_context: Any = None,
    flatten_with_keys_fn: Any = None,
) -> None:
    """Make a class a container.

    Args:
        cls: the class.
        flatten_fn: from an object to its parts and whatever is needed beside them.
        unflatten_fn: from the parts and that to an object.
        serialized_type_name: its name in a written structure.
        to_dumpable_context, from_dumpable_context: accepted for compatibility.
        flatten_with_keys_fn: as `flatten_fn`, with pairs of way and part.

    Raises:
        ValueError: the class is one already.

    Example:
        >>> from fastnn.utils import _pytree
        >>> class Pair:
        ...     def __init__(self, a, b):
        ...         self.a, self.b = a, b
        >>> _pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda parts, _: Pair(*parts))
        >>> _pytree.tree_leaves({"x": Pair(1, 2)})
        [1, 2]
    """
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn)
    if serialized_type_name is not None:
        SUPPORTED_SERIALIZED_TYPES[serialized_type_name] = cls


_register_pytree_node = register_pytree_node


def _deregister_pytree_node(cls: type) -> None:
    SUPPORTED_NODES.pop(cls, None)


def _list_flatten(d: list[Any]) -> tuple[list[Any], Any]:
    return list(d), None


def _list_unflatten(values: Iterable[Any], context: Any) -> list[Any]:
    return list(values)


def _tuple_flatten(d: tuple[Any, ...]) -> tuple[list[Any], Any]:
    return list(d), None


def _tuple_unflatten(values: Iterable[Any], context: Any) -> tuple[Any, ...]:
    return tuple(values)


def _namedtuple_flatten(d: Any) -> tuple[list[Any], Any]:
    return list(d), type(d)


def _namedtuple_unflatten(values: Iterable[Any], context: Any) -> Any:
    return context(*values) if hasattr(context, "_fields") else context(tuple(values))


def _dict_flatten(d: dict[Any, Any]) -> tuple[list[Any], Any]:
    return list(d.values()), list(d)


def _dict_unflatten(values: Iterable[Any], context: Any) -> dict[Any, Any]:
    return dict(zip(context, values, strict=True))


def _ordereddict_flatten(d: OrderedDict[Any, Any]) -> tuple[list[Any], Any]:
    return list(d.values()), list(d)


def _ordereddict_unflatten(values: Iterable[Any], context: Any) -> OrderedDict[Any, Any]:
    return OrderedDict(zip(context, values, strict=True))


def _defaultdict_flatten(d: defaultdict[Any, Any]) -> tuple[list[Any], Any]:
    return list(d.values()), [d.default_factory, list(d)]


def _defaultdict_unflatten(values: Iterable[Any], context: Any) -> defaultdict[Any, Any]:
    factory, keys = context
    return defaultdict(factory, zip(keys, values, strict=True))


def _deque_flatten(d: deque[Any]) -> tuple[list[Any], Any]:
    return list(d), d.maxlen


def _deque_unflatten(values: Iterable[Any], context: Any) -> deque[Any]:
    return deque(values, maxlen=context)


register_pytree_node(tuple, _tuple_flatten, _tuple_unflatten, serialized_type_name="builtins.tuple")
register_pytree_node(list, _list_flatten, _list_unflatten, serialized_type_name="builtins.list")
register_pytree_node(dict, _dict_flatten, _dict_unflatten, serialized_type_name="builtins.dict")
register_pytree_node(
    OrderedDict, _ordereddict_flatten, _ordereddict_unflatten, serialized_type_name="collections.OrderedDict"
)
register_pytree_node(
    defaultdict, _defaultdict_flatten, _defaultdict_unflatten, serialized_type_name="collections.defaultdict"
)
register_pytree_node(deque, _deque_flatten, _deque_unflatten, serialized_type_name="collections.deque")
_NAMED_TUPLE = NodeDef(tuple, _namedtuple_flatten, _namedtuple_unflatten)


def is_namedtuple_class(cls: Any) -> bool:
    """Whether it is a class of named tuples."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def is_namedtuple_instance(obj: Any) -> bool:
    """Whether it is a named tuple."""
    return is_namedtuple_class(type(obj))


def is_namedtuple(obj: Any) -> bool:
    """Whether it is a named tuple, or a class of them."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


_is_namedtuple_instance = is_namedtuple_instance


def is_structseq_class(cls: Any) -> bool:
    """Whether it is a class of structure sequences, such as the results of ``max``."""
    return isinstance(cls, type) and cls.__bases__ == (tuple,) and isinstance(getattr(cls, "n_fields", None), int)


def is_structseq_instance(obj: Any) -> bool:
    """Whether it is a structure sequence."""
    return is_structseq_class(type(obj))


def is_structseq(obj: Any) -> bool:
    """Whether it is a structure sequence, or a class of them."""
    return is_structseq_class(obj if isinstance(obj, type) else type(obj))


def _node(tree: Any) -> NodeDef | None:
    kind = type(tree)
    found = SUPPORTED_NODES.get(kind)
    if found is None and (is_namedtuple_class(kind) or is_structseq_class(kind)):
        return _NAMED_TUPLE
    return found


def _get_node_type(tree: Any) -> Any:
    from collections import namedtuple

    return namedtuple if is_namedtuple_instance(tree) else type(tree)


def tree_is_leaf(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether this is no container, or one that `is_leaf` takes for a leaf."""
    return (is_leaf is not None and is_leaf(tree)) or _node(tree) is None


_is_leaf = tree_is_leaf


class TreeSpec:
    """The structure of a tree, without its leaves.

    Args:
        type: of the container; None for a leaf.
        context: what `unflatten` needs beside the parts.
        children_specs: the structures of the parts.
    """

    def __init__(self, type: Any, context: Any, children_specs: list[TreeSpec]) -> None:
        self.type = type
        self.context = context
        self.num_nodes: int
        self.num_leaves: int
        self.children_specs = children_specs
        self.num_nodes = 1 + sum(child.num_nodes for child in children_specs)
        self.num_leaves = sum(child.num_leaves for child in children_specs) if type is not None else 1
        self.num_children = len(children_specs)

    def is_leaf(self) -> bool:
        """Whether it is that of a leaf."""
        return self.type is None

    def children(self) -> list[TreeSpec]:
        """The structures of the parts."""
        return self.children_specs

    def child(self, index: int) -> TreeSpec:
        """The structure of one part."""
        return self.children_specs[index]

    def _joined(self, children: Iterable[Any]) -> Any:
        definition = SUPPORTED_NODES.get(self.type, _NAMED_TUPLE)
        return definition.unflatten_fn(children, self.context)

    def _build(self, leaves: Iterator[Any]) -> Any:
        if self.type is None:
            return next(leaves)
        return self._joined([child._build(leaves) for child in self.children_specs])

    def unflatten(self, leaves: Iterable[Any]) -> PyTree:
        """The tree of this structure with these leaves."""
        values = list(leaves)
        if len(values) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(values)} but the spec refers to a pytree that "
                f"holds {self.num_leaves} items ({self})."
            )
        return self._build(iter(values))

    def flatten_up_to(self, tree: PyTree) -> list[Any]:
        """The subtrees of another tree where this structure has leaves."""
        if self.type is None:
            return [tree]
        definition = _node(tree)
        if definition is None or type(tree) is not self.type:
            raise ValueError(f"Type mismatch; expected {self.type}, but got {type(tree)}.")
        parts, context = definition.flatten_fn(tree)
        if isinstance(tree, dict):
            keys = self.context[-1] if isinstance(tree, defaultdict) else self.context
            if set(keys) != set(tree):
                raise ValueError(f"Node keys mismatch; expected {keys}, but got {list(tree)}.")
            parts = [tree[key] for key in keys]
        elif len(parts) != self.num_children or context != self.context:
            raise ValueError(f"Node arity or context mismatch; expected {self}, but got {tree_structure(tree)}.")
        found: list[Any] = []
        for child, part in zip(self.children_specs, parts, strict=True):
            found += child.flatten_up_to(part)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return (self.type, self.context, self.children_specs) == (other.type, other.context, other.children_specs)

    def __hash__(self) -> int:
        return hash((self.type, repr(self.context), tuple(self.children_specs)))

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        children = ", ".join(repr(child) for child in self.children_specs)
        return f"TreeSpec({self.type.__name__}, {self.context}, [{children}])"


PyTreeSpec = TreeSpec


class LeafSpec(TreeSpec):
    """The structure of a leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])


_LEAF = LeafSpec()


def _flatten(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool] | None) -> TreeSpec:
    definition = None if is_leaf is not None and is_leaf(tree) else _node(tree)
    if definition is None:
        leaves.append(tree)
        return _LEAF
    parts, context = definition.flatten_fn(tree)
    return TreeSpec(type(tree), context, [_flatten(part, leaves, is_leaf) for part in parts])


def tree_flatten(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree, and its structure.

    Example:
        >>> from fastnn.utils import _pytree
        >>> leaves, spec = _pytree.tree_flatten({"a": [1, 2], "b": (3,)})
        >>> leaves
        [1, 2, 3]
        >>> _pytree.tree_unflatten([10, 20, 30], spec)
        {'a': [10, 20], 'b': (30,)}
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, is_leaf)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> PyTree:
    """The tree of this structure with these leaves.

    Raises:
        TypeError: `treespec` is no structure.
        ValueError: the number of leaves is another.
    """
    if not isinstance(treespec, TreeSpec):
        raise TypeError(f"tree_unflatten: expected `treespec` to be a TreeSpec, but got {type(treespec)}")
    return treespec.unflatten(leaves)


def tree_iter(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> Iterable[Any]:
    """The leaves, one after the other."""
    yield from tree_leaves(tree, is_leaf)


def tree_leaves(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The structure."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Any, tree: PyTree, *rests: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> PyTree:
    """The tree with `func(leaf, ...)` for each leaf; the leaves of the other trees come along.

    Example:
        >>> from fastnn.utils import _pytree
        >>> _pytree.tree_map(lambda a, b: a * b, {"x": 2, "y": [3]}, {"x": 5, "y": [7]})
        {'x': 10, 'y': [21]}
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [spec.flatten_up_to(rest) for rest in rests]
    return spec.unflatten(map(func, leaves, *others))


def tree_map_(func: Any, tree: PyTree, *rests: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> PyTree:
    """Call `func` with each leaf; the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def map_only(type_or_types_or_pred: Any, /) -> Callable[[Any], Any]:
    """A decorator: the function is called for these only, others stay."""
    asks = callable(type_or_types_or_pred) and not isinstance(type_or_types_or_pred, type)

    def decorate(func: Any) -> Any:
        def only(value: Any) -> Any:
            chosen = type_or_types_or_pred(value) if asks else isinstance(value, type_or_types_or_pred)
            return func(value) if chosen else value

        return only

    return decorate


def tree_map_only(kind: Any, /, func: Any, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> PyTree:
    """:func:`tree_map` for leaves of these types, or for which a predicate holds; others stay."""
    return tree_map(map_only(kind)(func), tree, is_leaf=is_leaf)


def tree_map_only_(kind: Any, /, func: Any, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> PyTree:
    """:func:`tree_map_` for leaves of these types."""
    return tree_map_(map_only(kind)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Any, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether it holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Any, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether it holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(kind: Any, /, pred: Any, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether it holds for all leaves of these types."""
    return all(pred(leaf) for leaf in tree_leaves(tree, is_leaf) if isinstance(leaf, kind))


def tree_any_only(kind: Any, /, pred: Any, tree: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether it holds for a leaf of these types."""
    return any(pred(leaf) for leaf in tree_leaves(tree, is_leaf) if isinstance(leaf, kind))


# --- with the way to each leaf ---------------------------------------------------------------------------------------


def _keys(tree: Any, definition: NodeDef) -> Iterable[tuple[Any, Any]]:
    if definition.flatten_with_keys_fn is not None:
        pairs: Iterable[tuple[Any, Any]] = definition.flatten_with_keys_fn(tree)[0]
        return pairs
    if isinstance(tree, dict):
        return [(MappingKey(key), value) for key, value in tree.items()]
    if definition is _NAMED_TUPLE and is_namedtuple(tree):
        return [(GetAttrKey(name), value) for name, value in zip(tree._fields, tree, strict=True)]
    return [(SequenceKey(index), value) for index, value in enumerate(definition.flatten_fn(tree)[0])]


def _flatten_with_keys(tree: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The parts of a container, each with the key to it, and what is needed beside them."""
    definition = _node(tree)
    assert definition is not None, f"{type(tree).__name__} is no container"
    return list(_keys(tree, definition)), definition.flatten_fn(tree)[1]


def _dict_flatten_with_keys(d: dict[Any, Any]) -> tuple[list[tuple[Any, Any]], Any]:
    return [(MappingKey(key), value) for key, value in d.items()], list(d)


_list_flatten_with_keys = _tuple_flatten_with_keys = _namedtuple_flatten_with_keys = _flatten_with_keys
_ordereddict_flatten_with_keys = _defaultdict_flatten_with_keys = _deque_flatten_with_keys = _flatten_with_keys


def _with_path(tree: Any, path: tuple[Any, ...], is_leaf: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    definition = None if is_leaf is not None and is_leaf(tree) else _node(tree)
    if definition is None:
        yield path, tree
        return
    for key, part in _keys(tree, definition):
        yield from _with_path(part, (*path, key), is_leaf)


def tree_leaves_with_path(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves, each with the way to it."""
    return list(_with_path(tree, (), is_leaf))


def tree_flatten_with_path(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[tuple[Any, ...], Any]], TreeSpec]:
    """The leaves with the way to each, and the structure."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(func: Any, tree: PyTree, *rests: PyTree, is_leaf: Callable[[Any], bool] | None = None) -> PyTree:
    """:func:`tree_map` with the way to the leaf as first argument.

    Example:
        >>> from fastnn.utils import _pytree
        >>> _pytree.tree_map_with_path(lambda path, leaf: _pytree.keystr(path), {"a": [0, 0]})
        {'a': ["['a'][0]", "['a'][1]"]}
    """
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    others = [spec.flatten_up_to(rest) for rest in rests]
    paths, leaves = [path for path, _ in pairs], [leaf for _, leaf in pairs]
    return spec.unflatten(map(func, paths, leaves, *others))


def keystr(kp: Iterable[Any]) -> str:
    """A way as text."""
    return "".join(str(key) for key in kp)


def key_get(obj: Any, kp: Iterable[Any]) -> Any:
    """What is at the end of a way."""
    for key in kp:
        obj = key.get(obj)
    return obj


def _broadcast_to_and_flatten(
    tree: PyTree, treespec: TreeSpec, is_leaf: Callable[[Any], bool] | None = None
) -> list[Any] | None:
    if tree_is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    if treespec.is_leaf() or type(tree) is not treespec.type:
        return None
    definition = _node(tree)
    assert definition is not None
    parts, context = definition.flatten_fn(tree)
    if len(parts) != treespec.num_children or context != treespec.context:
        return None
    found: list[Any] = []
    for part, child in zip(parts, treespec.children_specs, strict=True):
        flat = _broadcast_to_and_flatten(part, child, is_leaf)
        if flat is None:
            return None
        found += flat
    return found
