"""Makes a process that sleeps execute something else, as a debugger does: trace.py PID PROGRAM [ARGUMENT...]. x86-64."""

import ctypes
import os
import struct
import sys

ATTACH, DETACH, GETREGS, SETREGS = 16, 17, 12, 13
NAMES = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs"


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in NAMES.split()]


libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def trace(request, data=None):
    if libc.ptrace(request, pid, None, data) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request}")


pid, words = int(sys.argv[1]), [word.encode() for word in sys.argv[2:]]
with open(f"/proc/{pid}/environ", "rb") as file:
    variables = file.read().split(b"\0")[:-1]
trace(ATTACH)
os.waitpid(pid, 0x40000000)
registers = Registers()
trace(GETREGS, ctypes.byref(registers))

# Strings and the two lists, where the stack will grow.
at = (registers.rsp - 24 * 1024) & ~15
strings, places = b"", []
for string in words + variables:
    places.append(at + len(strings))
    strings += string + b"\0"
strings += b"\0" * (-len(strings) % 8)
arguments = at + len(strings)
lists = places[: len(words)] + [0] + places[len(words) :] + [0]
with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
    memory.seek(at)
    memory.write(strings + struct.pack(f"<{len(lists)}Q", *lists))

# It waits within a system call: the instruction before is the call itself, made once more with another number.
registers.rax, registers.orig_rax, registers.rip = 59, 2**64 - 1, registers.rip - 2
registers.rdi, registers.rsi = places[0], arguments
registers.rdx = arguments + 8 * (len(words) + 1)
trace(SETREGS, ctypes.byref(registers))
trace(DETACH)
