//! Agents whose own sandbox keeps their tools from the socket: the one line says so, and what cures it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use crate::support::other::{UID, by, is_root, set_user};
use crate::support::{House, text};

const POLICY: &str = "rules: [{command: touch, action: allow}]";

/// Puts a filter over itself under which one system call fails with EPERM (where its first argument is the given one,
/// if one is given), and becomes the rest of its arguments.
const FILTER: &str = r#"
import ctypes, os, struct, sys
call, argument = int(sys.argv[1]), int(sys.argv[2])
load = lambda at: struct.pack("HBBI", 0x20, 0, 0, at)
unless = lambda value, skip: struct.pack("HBBI", 0x15, 0, skip, value)
give = lambda what: struct.pack("HBBI", 0x06, 0, 0, what)
deny, allow = give(0x00050001), give(0x7fff0000)
lines = [load(0), unless(call, 3 if argument >= 0 else 1)]
if argument >= 0:
    lines += [load(16), unless(argument, 1)]
lines += [deny, allow]
code = ctypes.create_string_buffer(b"".join(lines))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
program = Program(len(lines), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program)):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[3], sys.argv[3:])
"#;

/// `socket` and `connect`, and a number that no call has.
const CALLS: [i32; 3] =
    if cfg!(target_arch = "aarch64") { [198, 203, 9999] } else { [41, 42, 9999] };

/// `touch mark` by way of its shim, where `call` fails.
fn filtered(house: &House, call: i32, argument: i32) -> Output {
    let (call, argument) = (call.to_string(), argument.to_string());
    let mut touch = house.shimmed("touch");
    let prefix = ["/usr/bin/python3", "-c", FILTER, &call, &argument];
    by(&prefix, touch.arg(house.path("mark"))).stdin(Stdio::null()).output().unwrap()
}

fn is_told(house: &House, output: &Output, kernel: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in [
        kernel,
        "nothing ran",
        "sandbox",
        "sandbox.network.allowUnixSockets",
        "Codex `sandbox_mode`",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!house.path("mark").exists());
    assert!(house.ledger().iter().all(|record| record["event"] != "requested"));
}

#[test]
fn a_filter_that_forbids_unix_sockets_is_named_with_its_cure() {
    let house = House::new(POLICY);
    house.event("policy_loaded");
    let [socket, connect, other] = CALLS;
    is_told(&house, &filtered(&house, socket, 1), "Operation not permitted");
    is_told(&house, &filtered(&house, connect, -1), "Operation not permitted");
    // The same filter over something else is no hindrance.
    let output = filtered(&house, other, -1);
    assert!(output.status.success() && house.path("mark").exists(), "{output:?}");
}

#[test]
fn a_folder_that_may_not_be_passed_is_named_with_its_cure() {
    let house = House::new(POLICY);
    house.event("policy_loaded");
    // The shims where everybody may execute them, the socket where nobody may go.
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let shim = open.path().join("touch");
    fs::copy(house.bin().join("touch"), &shim).unwrap();
    let mode =
        |mode| fs::set_permissions(house.dir.path(), fs::Permissions::from_mode(mode)).unwrap();
    let mut touch = Command::new(&shim);
    touch.arg("mark").env("CLAWRDEN_SOCKET", house.socket()).current_dir(open.path());
    mode(0o600);
    let output = if is_root() { by(&set_user(UID), &touch).output() } else { touch.output() };
    mode(0o700);
    is_told(&house, &output.unwrap(), "Permission denied");
    assert!(!open.path().join("mark").exists());
}
