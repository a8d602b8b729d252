"""The calls of NVML that power needs, by the binding nvidia-ml-py; its errors become `NvmlError` here."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from controller.errors import NvmlError, NvmlFault

_MIG_PREFIX = "MIG-"
_INSTANT_FIELD = 186
"""NVML_FI_DEV_POWER_INSTANT; written out, as older bindings do not name it."""
_SCOPE_GPU, _SCOPE_MODULE = 0, 1
_DOUBLE, _UINT, _ULONG, _ULONG_LONG = 0, 1, 2, 3
_VALUE_OF_TYPE = {_DOUBLE: "dVal", _UINT: "uiVal", _ULONG: "ulVal", _ULONG_LONG: "ullVal"}
"""Member of NVML's union by its value type."""
_FAULTS = {
    "UNINITIALIZED": (NvmlFault.DRIVER, "NVML is not initialised; the driver was unloaded"),
    "DRIVER_NOT_LOADED": (NvmlFault.DRIVER, "the NVIDIA driver is not loaded, or this container was given no GPU"),
    "LIBRARY_NOT_FOUND": (
        NvmlFault.LIBRARY,
        "libnvidia-ml.so.1 is not found: install the NVIDIA driver, or run the container under the NVIDIA runtime "
        "with NVIDIA_DRIVER_CAPABILITIES=utility",
    ),
    "LIB_RM_VERSION_MISMATCH": (
        NvmlFault.MISMATCH,
        "driver and libnvidia-ml.so.1 differ in version: start this process again, or the machine",
    ),
    "NO_PERMISSION": (NvmlFault.PERMISSION, "no permission to read this figure"),
    "NOT_SUPPORTED": (NvmlFault.UNSUPPORTED, "this GPU has no such figure"),
    "FUNCTION_NOT_FOUND": (NvmlFault.UNSUPPORTED, "this driver is too old for it"),
    "INVALID_ARGUMENT": (NvmlFault.UNSUPPORTED, "this driver does not know it"),
    "GPU_IS_LOST": (NvmlFault.LOST, "the GPU is lost: it fell off the bus; see the kernel's log for Xid 79"),
    "GPU_NOT_FOUND": (NvmlFault.LOST, "the GPU is lost: it is gone from the machine"),
    "RESET_REQUIRED": (NvmlFault.LOST, "the GPU wants a reset"),
}
"""By the name of the binding's NVML_ERROR_* constant."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU as NVML has it.

    Attributes:
        handle: valid until the library is closed.
        is_module: GPU, CPU and memory are one module (Grace-Hopper), whose energy the counter counts.
        max_limit_w: largest power limit that can be set, None if NVML does not tell or the module's is not told.
    """

    handle: Any
    uuid: str
    name: str
    is_module: bool
    max_limit_w: float | None


@dataclass(frozen=True, slots=True)
class Devices:
    """The GPUs of the machine, and the faults of those that could not be asked who they are."""

    found: tuple[Device, ...]
    faults: tuple[NvmlError, ...]


class NvmlLibrary:
    """NVML once opened. Not to be called from an event loop: a call takes as long as the driver takes."""

    def __init__(self) -> None:
        self._binding: ModuleType | None = None
        self.doing = ""
        """The call under way, for telling which one hangs; empty between calls."""

    def open(self) -> str:
        """Load and initialise the library; returns the driver's version.

        Raises:
            NvmlError: the binding or the library is missing, or the driver does not answer.
        """
        if self._binding is None:
            try:
                self._binding = importlib.import_module("pynvml")
            except ImportError as error:
                raise NvmlError(
                    NvmlFault.LIBRARY, "the package nvidia-ml-py is missing; run: pip install 'wattroute[nvml]'"
                ) from error
        binding = self._binding
        with self._call("nvmlInit"):
            binding.nvmlInit()
        with self._call("nvmlSystemGetDriverVersion"):
            return str(binding.nvmlSystemGetDriverVersion())

    def close(self) -> None:
        """Let go of the driver.

        Raises:
            NvmlError: the driver does not answer; the library can be opened again all the same.
        """
        with self._call("nvmlShutdown"):
            self._pynvml.nvmlShutdown()

    def devices(self) -> Devices:
        """All GPUs of the machine, each once: MIG instances are told as the GPU that they are a part of.

        Raises:
            NvmlError: the GPUs cannot be counted.
        """
        with self._call("nvmlDeviceGetCount"):
            count = self._pynvml.nvmlDeviceGetCount()
        found: dict[str, Device] = {}
        faults = []
        for index in range(count):
            try:
                device = self._device(index)
            except NvmlError as error:
                faults.append(error)
            else:
                found.setdefault(device.uuid, device)
        return Devices(tuple(found.values()), tuple(faults))

    def energy_j(self, device: Device) -> float:
        """Energy counter since the driver was loaded; the module's on Grace-Hopper.

        Raises:
            NvmlError: the call failed.
        """
        with self._call("nvmlDeviceGetTotalEnergyConsumption", device.uuid):
            return float(self._pynvml.nvmlDeviceGetTotalEnergyConsumption(device.handle)) / 1e3

    def instant_power_w(self, device: Device) -> float:
        """Power at this moment; the module's on Grace-Hopper.

        Raises:
            NvmlError: the call failed, or this field of it.
        """
        call = f"NVML field {_INSTANT_FIELD}"
        scope = _SCOPE_MODULE if device.is_module else _SCOPE_GPU
        with self._call(call, device.uuid):
            (value,) = self._pynvml.nvmlDeviceGetFieldValues(device.handle, [(_INSTANT_FIELD, scope)])
            if value.nvmlReturn != 0:
                raise self._pynvml.NVMLError(value.nvmlReturn)
        member = _VALUE_OF_TYPE.get(value.valueType)
        if member is None:
            raise NvmlError(NvmlFault.UNSUPPORTED, f"{call} of {device.uuid}: value type {value.valueType} is unknown")
        return float(getattr(value.value, member)) / 1e3

    def power_w(self, device: Device) -> float:
        """Power of the board: a mean over a second on Ampere (but A100) and newer GPUs, else of this moment.

        Raises:
            NvmlError: the call failed.
        """
        with self._call("nvmlDeviceGetPowerUsage", device.uuid):
            return float(self._pynvml.nvmlDeviceGetPowerUsage(device.handle)) / 1e3

    @property
    def _pynvml(self) -> ModuleType:
        if self._binding is None:
            raise NvmlError(NvmlFault.DRIVER, "NVML was not opened")
        return self._binding

    def _device(self, index: int) -> Device:
        binding, what = self._pynvml, f"GPU number {index}"
        with self._call("nvmlDeviceGetHandleByIndex", what):
            handle = binding.nvmlDeviceGetHandleByIndex(index)
        with self._call("nvmlDeviceGetUUID", what):
            uuid = str(binding.nvmlDeviceGetUUID(handle))
        if uuid.startswith(_MIG_PREFIX):
            with self._call("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", uuid):
                handle = binding.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
                uuid = str(binding.nvmlDeviceGetUUID(handle))
        with self._call("nvmlDeviceGetName", uuid):
            name = str(binding.nvmlDeviceGetName(handle))
        is_module = self._is_module(handle, uuid)
        return Device(handle, uuid, name, is_module, None if is_module else self._max_limit_w(handle, uuid))

    def _is_module(self, handle: Any, uuid: str) -> bool:
        """Whether GPU and CPU are linked chip to chip: their energy counter is the module's (ml-energy/zeus#172)."""
        try:
            with self._call("nvmlDeviceGetC2cModeInfoV", uuid):
                return bool(self._pynvml.nvmlDeviceGetC2cModeInfoV(handle).isC2cEnabled)
        except NvmlError as error:
            if error.fault in (NvmlFault.UNSUPPORTED, NvmlFault.PERMISSION):
                return False
            raise

    def _max_limit_w(self, handle: Any, uuid: str) -> float | None:
        try:
            with self._call("nvmlDeviceGetPowerManagementLimitConstraints", uuid):
                _, most_mw = self._pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
        except NvmlError as error:
            if error.fault in (NvmlFault.UNSUPPORTED, NvmlFault.PERMISSION):
                return None
            raise
        return float(most_mw) / 1e3 or None

    @contextlib.contextmanager
    def _call(self, name: str, what: str = "") -> Iterator[None]:
        self.doing = f"{name} of {what}" if what else name
        try:
            yield
        except NvmlError:
            raise
        except Exception as error:
            raise self._mapped(error) from error
        finally:
            self.doing = ""

    def _mapped(self, error: Exception) -> NvmlError:
        """What an exception of the binding means.

        It raises NVMLError with NVML's code, and whatever Python raises where the library gives text that is no text.
        """
        binding = self._pynvml
        if isinstance(error, AttributeError):
            return NvmlError(NvmlFault.UNSUPPORTED, f"{self.doing}: this version of nvidia-ml-py does not know it")
        code = getattr(error, "value", None) if isinstance(error, binding.NVMLError) else None
        for name, (fault, meaning) in _FAULTS.items():
            if code is not None and code == getattr(binding, f"NVML_ERROR_{name}", None):
                return NvmlError(fault, f"{self.doing}: {meaning}")
        return NvmlError(NvmlFault.OTHER, f"{self.doing}: {error or type(error).__name__}")
