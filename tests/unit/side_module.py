"""A side module outside a browser: loaded into wasmtime as Pyodide's linker would, called with numpy arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from wasmtime import (
    Engine,
    Global,
    GlobalType,
    Instance,
    Limits,
    Memory,
    MemoryType,
    Module,
    Store,
    Val,
    ValType,
)  # fmt: skip

from umx.kernels.library import FOLDER

PAGE = 1 << 16
STACK, DATA, HEAP = PAGE, PAGE, 2 * PAGE  # the stack grows down from STACK; arrays lie from HEAP on


class SideModule:
    """Copies every array into the module's memory, calls, and copies it back: functions may write into any of them."""

    def __init__(self, pages: int, name: str = "kernels") -> None:
        engine = Engine()
        self.store = Store(engine)
        module = Module.from_file(engine, str(FOLDER / f"{name}.wasm"))
        self.memory = Memory(self.store, MemoryType(Limits(pages, None)))

        def place(value: int, mutable: bool) -> Global:
            return Global(self.store, GlobalType(ValType.i32(), mutable), Val.i32(value))

        provided = {
            "memory": self.memory,
            "__stack_pointer": place(STACK, True),
            "__memory_base": place(DATA, False),
            "__table_base": place(0, False),
        }
        imports = [provided[str(entry.name)] for entry in module.imports]
        self.exports = Instance(self.store, module, imports).exports(self.store)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = self.exports[name]

        def call(*arguments: Any) -> Any:
            top, placed, values = HEAP, [], []
            for argument in arguments:
                if isinstance(argument, np.ndarray):
                    low, high = byte_bounds(argument)
                    self.memory.write(self.store, bytes_at(low, high), top)
                    placed.append((top, low, high))
                    values.append(top)
                    top += (high - low + 63) // 64 * 64
                else:
                    values.append(argument)
            result = function(self.store, *values)
            for address, low, high in placed:
                bytes_at(low, high)[:] = self.memory.read(self.store, address, address + high - low)
            return result

        return call


def bytes_at(low: int, high: int) -> Any:
    """The memory between two addresses: strided views have gaps that belong to others, and are copied with them."""
    import ctypes

    return (ctypes.c_ubyte * (high - low)).from_address(low)
