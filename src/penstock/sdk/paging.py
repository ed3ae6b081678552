"""Operations that answer in pages: a method, and on it `pages`, which walks them all.

    for stream in kls.list_realtime_pub_streams_info.pages(unique_name=..., app=..., pubdomain=...): ...

A row at a time, whatever page it came on; `.pages(...).by_page()` gives the results themselves. Each
loop begins anew. Clouds number their pages: what comes or goes while one walks moves the rest, so that
a row may be seen twice or not at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from penstock.clouds.contract import Operation, Result
from penstock.sdk.options import NAMES, Options

if TYPE_CHECKING:
    from penstock.sdk.client import AsyncClient, Client

P = ParamSpec("P")
R = TypeVar("R", bound=Result)
Row = TypeVar("Row")


class Pages(Generic[Row, R]):
    """Every row of a list, fetched page by page as they are asked for."""

    def __init__(self, client: Client, operation: Operation[R], options: Options) -> None:
        self._client = client
        self._operation = operation
        self._options = options

    def by_page(self) -> Iterator[R]:
        """Yield the result of each call."""
        operation: Operation[R] | None = self._operation
        while operation is not None:
            result = self._client.call(operation, **self._options)
            yield result
            operation = next_page(operation, result)

    def __iter__(self) -> Iterator[Row]:
        for result in self.by_page():
            yield from rows(self._operation, result)


class AsyncPages(Generic[Row, R]):
    """Every row of a list, fetched page by page as they are asked for; for `async for`."""

    def __init__(self, client: AsyncClient, operation: Operation[R], options: Options) -> None:
        self._client = client
        self._operation = operation
        self._options = options

    async def by_page(self) -> AsyncIterator[R]:
        """Yield the result of each call."""
        operation: Operation[R] | None = self._operation
        while operation is not None:
            result = await self._client.call(operation, **self._options)
            yield result
            operation = next_page(operation, result)

    async def __aiter__(self) -> AsyncIterator[Row]:
        async for result in self.by_page():
            for row in rows(self._operation, result):
                yield row


def next_page(operation: Operation[R], result: R) -> Operation[R] | None:
    """Return the call for what follows; None after the last page."""
    paging = operation.about.paging
    assert paging is not None
    return paging.after(operation, result)


def rows(operation: Operation[R], result: R) -> list[Any]:
    """Return a page's list."""
    paging = operation.about.paging
    assert paging is not None
    found: Any = result
    for name in paging.rows.split("."):
        found = getattr(found, name)
    return list(found)


class PagedCall(Generic[P, R, Row]):
    """A method of a client: call it for one page, or walk its `pages`."""

    def __init__(self, client: Client, operation: type[Operation[R]], function: Callable[Concatenate[Any, P], R]):
        self._client = client
        self._operation = operation
        self._function = function
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(self._client, *args, **kwargs)

    def pages(self, *args: P.args, **kwargs: P.kwargs) -> Pages[Row, R]:
        """Return the rows of all pages, from the one that the parameters name on."""
        assert not args
        operation, options = parted(self._operation, kwargs)
        return Pages(self._client, operation, options)


class AsyncPagedCall(Generic[P, R, Row]):
    """A method of an async client: await it for one page, or walk its `pages`."""

    def __init__(
        self,
        client: AsyncClient,
        operation: type[Operation[R]],
        function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
    ):
        self._client = client
        self._operation = operation
        self._function = function
        update_wrapper(self, function)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._function(self._client, *args, **kwargs)

    def pages(self, *args: P.args, **kwargs: P.kwargs) -> AsyncPages[Row, R]:
        """Return the rows of all pages, from the one that the parameters name on."""
        assert not args
        operation, options = parted(self._operation, kwargs)
        return AsyncPages(self._client, operation, options)


def parted(operation: type[Operation[R]], given: dict[str, Any]) -> tuple[Operation[R], Options]:
    """Split a method's arguments into its operation, every limit checked, and the options of the call."""
    values = {name: value for name, value in given.items() if name not in NAMES}
    options = {name: value for name, value in given.items() if name in NAMES}
    return operation.make(**values), cast("Options", options)


class Paged(Generic[P, R, Row]):
    """What `paged` leaves in a class: it becomes a `PagedCall` on each client."""

    def __init__(self, operation: type[Operation[R]], function: Callable[Concatenate[Any, P], R]) -> None:
        self._operation = operation
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Paged[P, R, Row]: ...
    @overload
    def __get__(self, client: Client, owner: type) -> PagedCall[P, R, Row]: ...
    def __get__(self, client: Client | None, owner: type) -> Paged[P, R, Row] | PagedCall[P, R, Row]:
        return self if client is None else PagedCall(client, self._operation, self._function)


class AsyncPaged(Generic[P, R, Row]):
    """What `async_paged` leaves in a class."""

    def __init__(
        self, operation: type[Operation[R]], function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]
    ) -> None:
        self._operation = operation
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> AsyncPaged[P, R, Row]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> AsyncPagedCall[P, R, Row]: ...
    def __get__(self, client: AsyncClient | None, owner: type) -> AsyncPaged[P, R, Row] | AsyncPagedCall[P, R, Row]:
        return self if client is None else AsyncPagedCall(client, self._operation, self._function)


class paged(Generic[R, Row]):  # noqa: N801 - a decorator
    """Make a method of a client answer in pages, whose rows are of the type `row`."""

    def __init__(self, operation: type[Operation[R]], row: type[Row]) -> None:
        self._operation = operation

    def __call__(self, function: Callable[Concatenate[Any, P], R]) -> Paged[P, R, Row]:
        return Paged(self._operation, function)


class async_paged(Generic[R, Row]):  # noqa: N801 - a decorator
    """The same for an async client."""

    def __init__(self, operation: type[Operation[R]], row: type[Row]) -> None:
        self._operation = operation

    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> AsyncPaged[P, R, Row]:
        return AsyncPaged(self._operation, function)
