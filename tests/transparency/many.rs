//! Many at once.

use std::process::Stdio;

use crate::{Stage, Way};

#[test]
fn five_hundred_and_twelve_at_once_and_none_fails() {
    for way in [Way::Mirror, Way::Local] {
        let stage = Stage::new(way);
        let children: Vec<_> = (0..512)
            .map(|n| {
                let mut command = stage.tool("echo");
                command
                    .arg(n.to_string())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for (n, child) in children.into_iter().enumerate() {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{way:?} {n}: {:?} {said}", output.status);
            assert_eq!(output.stdout, format!("{n}\n").into_bytes());
        }
    }
}
