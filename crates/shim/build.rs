//! Tells the linker, for the `raw` program only, that nothing but our own objects belong in it, and that tables for
//! unwinding and the compiler's name do not: nothing unwinds there. Nor does it put data apart that a loader would make read-only, as there is
//! no loader: on aarch64 that alone would fill the file up to the next 64 KiB.

use std::path::Path;

/// Added to the linker's own script.
const LEFT_OUT: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame .eh_frame_hdr .gcc_except_table* .comment) } } \
                        INSERT AFTER .text;\n";

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let (Some(_), Some(folder)) =
        (std::env::var_os("CARGO_FEATURE_RAW"), std::env::var_os("OUT_DIR"))
    else {
        return Ok(());
    };
    let script = Path::new(&folder).join("raw.ld");
    std::fs::write(&script, LEFT_OUT)?;
    let script = format!("-Wl,-T,{}", script.display());
    for arg in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,--no-eh-frame-hdr",
        "-Wl,-z,norelro",
        &script,
    ] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    Ok(())
}
