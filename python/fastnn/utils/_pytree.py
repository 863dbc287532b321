"""Nested containers of values: taking the leaves out, and putting others in their place."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "LeafSpec",
    "PyTree",
    "TreeSpec",
    "register_pytree_node",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_structure",
    "tree_unflatten",
]

PyTree = Any


class _Container(NamedTuple):
    flatten: Callable[[Any], tuple[list[Any], Any]]
    unflatten: Callable[[list[Any], Any], Any]


_CONTAINERS: dict[type, _Container] = {}


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[list[Any], Any]],
    unflatten_fn: Callable[[Iterable[Any], Any], Any],
    **kwargs: Any,
) -> None:
    """Make a class a container: how to take its children out, and how to make it again from children and context.

    Args:
        cls: the class.
        flatten_fn: gives a list of children, and whatever else is needed to make the object again.
        unflatten_fn: makes the object from the two.
        kwargs: accepted for compatibility.

    Example::

        >>> from fastnn.utils import _pytree
        >>> class Pair:
        ...     def __init__(self, a, b):
        ...         self.a, self.b = a, b
        >>> _pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda c, _: Pair(*c))
        >>> _pytree.tree_leaves([Pair(1, 2), 3])
        [1, 2, 3]
    """
    _CONTAINERS[cls] = _Container(flatten_fn, unflatten_fn)


register_pytree_node(list, lambda x: (x, None), lambda children, _: list(children))
register_pytree_node(tuple, lambda x: (list(x), None), lambda children, _: tuple(children))
register_pytree_node(
    dict, lambda x: (list(x.values()), list(x)), lambda children, keys: dict(zip(keys, children, strict=True))
)
register_pytree_node(
    OrderedDict,
    lambda x: (list(x.values()), list(x)),
    lambda children, keys: OrderedDict(zip(keys, children, strict=True)),
)
register_pytree_node(
    defaultdict,
    lambda x: (list(x.values()), (x.default_factory, list(x))),
    lambda children, context: defaultdict(context[0], zip(context[1], children, strict=True)),
)
_NAMED = _Container(lambda x: (list(x), type(x)), lambda children, cls: cls(*children))
# What compiled operations return: like a named tuple, but made from one sequence.
_STRUCT_SEQUENCE = _Container(lambda x: (list(x), type(x)), lambda children, cls: cls(children))


def _container(value: Any) -> _Container | None:
    cls = type(value)
    found = _CONTAINERS.get(cls)
    if found is None and isinstance(value, tuple):
        if hasattr(cls, "_fields"):
            return _NAMED
        if hasattr(cls, "n_sequence_fields"):
            return _STRUCT_SEQUENCE
    return found


class TreeSpec:
    """The shape of a nested container: its class, what the class needs beside the children, and their shapes."""

    __slots__ = ("children_specs", "container", "context", "num_leaves", "type")

    def __init__(self, type: Any, context: Any, children_specs: list[TreeSpec], container: _Container | None) -> None:
        self.type = type
        self.context = context
        self.children_specs = children_specs
        self.container = container
        self.num_leaves: int = sum(child.num_leaves for child in children_specs) if container is not None else 1

    def is_leaf(self) -> bool:
        """Whether this is no container."""
        return self.container is None

    @property
    def num_children(self) -> int:
        """How many children there are."""
        return len(self.children_specs)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TreeSpec)
            and self.type is other.type
            and self.context == other.context
            and self.children_specs == other.children_specs
        )

    def __hash__(self) -> int:
        return hash((self.type, self.num_leaves))

    def __repr__(self) -> str:
        if self.is_leaf():
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context}, {self.children_specs})"


def LeafSpec() -> TreeSpec:
    """The shape of a single value."""
    return TreeSpec(None, None, [], None)


def _flatten(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool] | None) -> TreeSpec:
    container = None if is_leaf is not None and is_leaf(tree) else _container(tree)
    if container is None:
        leaves.append(tree)
        return LeafSpec()
    children, context = container.flatten(tree)
    return TreeSpec(type(tree), context, [_flatten(child, leaves, is_leaf) for child in children], container)


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of lists, tuples, named tuples, dicts and registered classes, in order, and the shape around them.

    Example::

        >>> from fastnn.utils import _pytree
        >>> leaves, spec = _pytree.tree_flatten({"a": 1, "b": (2, [3])})
        >>> leaves
        [1, 2, 3]
        >>> _pytree.tree_unflatten([4, 5, 6], spec)
        {'a': 4, 'b': (5, [6])}
    """
    leaves: list[Any] = []
    spec = _flatten(tree, leaves, is_leaf)
    return leaves, spec


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The inverse of :func:`tree_flatten`.

    Raises:
        ValueError: the number of leaves is not that of the shape.
    """
    values = list(leaves)
    if len(values) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(values)} but the spec refers to a pytree that "
            f"holds {treespec.num_leaves} items ({treespec})."
        )
    return _unflatten(iter(values), treespec)


def _unflatten(leaves: Any, spec: TreeSpec) -> Any:
    if spec.container is None:
        return next(leaves)
    return spec.container.unflatten([_unflatten(leaves, child) for child in spec.children_specs], spec.context)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves alone."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The shape alone."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The same shape with ``func`` of each leaf (and of the corresponding leaves of other trees)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_leaves(rest, is_leaf) for rest in rests]
    return tree_unflatten([func(*values) for values in zip(leaves, *others, strict=True)], spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any) -> Any:
    """Call ``func`` with each leaf; gives the tree itself."""
    tree_map(func, tree, *rests)
    return tree


def tree_map_only(types: Any, func: Callable[[Any], Any], tree: Any) -> Any:
    """``tree_map`` for leaves of some classes; others stay."""
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, types) else leaf, tree)


def tree_all(predicate: Callable[[Any], bool], tree: Any) -> bool:
    """Whether all leaves fulfil a condition."""
    return all(map(predicate, tree_leaves(tree)))


def tree_any(predicate: Callable[[Any], bool], tree: Any) -> bool:
    """Whether a leaf fulfils a condition."""
    return any(map(predicate, tree_leaves(tree)))


def broadcast_to_and_flatten(tree: Any, spec: TreeSpec) -> list[Any] | None:
    """One leaf of ``tree`` for each leaf of ``spec``: a leaf stands for everything below it. None if they differ."""
    container = _container(tree)
    if spec.container is None:
        return [tree] if container is None else None
    if container is None:
        return [tree] * spec.num_leaves
    children, context = container.flatten(tree)
    if type(tree) is not spec.type or context != spec.context or len(children) != spec.num_children:
        return None
    result: list[Any] = []
    for child, child_spec in zip(children, spec.children_specs, strict=True):
        part = broadcast_to_and_flatten(child, child_spec)
        if part is None:
            return None
        result.extend(part)
    return result
