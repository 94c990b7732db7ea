"""Models on the visitor's device, for workers: each a folder in the origin's private file system."""

import opfs
from pyodide.ffi import JsException

from umx.weights import WeightsError

ADDRESS = "opfs:"
"""What the address of a model on the device begins with; then come its name and a slash."""
FOLDER = "umx models"  # other pages may share the origin


async def read(address: str):
    """A model's File on the device. Raises WeightsError if it isn't there."""
    name, file = address.removeprefix(ADDRESS).split("/")
    try:
        handle = await (await model_folder(name)).getFileHandle(file)
        return await handle.getFile()
    except JsException as error:
        raise WeightsError(f"{name} is no longer on this device ({error}).") from error


async def model_folder(name: str, create: bool = False):
    return await opfs.folder(FOLDER, name, create=create)


async def remove(name: str) -> None:
    await opfs.remove(await opfs.folder(FOLDER, create=True), name)
