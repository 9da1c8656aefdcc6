//! Every limit of the intercom, and what happens at it.

use core::time::Duration;

/// Bytes that follow the length of a request. A longer length is refused before a byte of it is read.
pub const MAX_REQUEST: u32 = 10 * 1024 * 1024;

/// Bytes of the JSON part of a version 2 request, which carries numbers only. A longer one is refused.
pub const MAX_JSON_V2: usize = 4096;

/// Bytes of a stream frame (stdin, stdout, stderr) that we send or accept. A longer one is refused.
pub const MAX_STREAM_FRAME: u32 = 1024 * 1024;

/// Bytes of any other frame. A longer one is refused.
pub const MAX_CONTROL_FRAME: u32 = 64 * 1024;

/// Arguments and environment entries of one request. More is refused; so many, empty ones, are what `execve` takes.
pub const MAX_STRINGS: u32 = 700_000;

/// The same of a version 1 request, whose entries cost more memory than their bytes.
pub const MAX_STRINGS_V1: usize = 100_000;

/// Descriptors that ride along with one request: what the kernel takes in one message (`SCM_MAX_FD`).
/// A caller with more open descriptors is told so and nothing runs.
pub const MAX_DESCRIPTORS: usize = 253;

/// Bytes of a message between warden and runner.
pub const MAX_RUNNER_MESSAGE: u32 = 16 * 1024 * 1024;

/// How long a client may take from connecting to the last byte of its request. Then it is closed.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// How long a client that was told that it waits looks for the warden again when the connection breaks, unless the
/// warden has told it another time. Then it gives up.
pub const RECONNECT: Duration = Duration::from_secs(60);

/// Exit code: still waiting for a person; nothing ran; repeat the command.
pub const EXIT_STILL_WAITING: u8 = 75;
/// Exit code: the command ran out of its time.
pub const EXIT_TIMED_OUT: u8 = 124;
/// Exit code: the warden could not be reached, or failed.
pub const EXIT_UNREACHABLE: u8 = 125;
/// Exit code: denied.
pub const EXIT_DENIED: u8 = 126;
/// Exit code: there is no such tool.
pub const EXIT_NO_SUCH_TOOL: u8 = 127;
