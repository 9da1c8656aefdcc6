//! What of a long argument vector is shown.

/// The text of arguments, each with the length that it is told to have, and word of those that are `left` behind them:
/// as much as fits into `room` bytes, and whether that is all.
pub(crate) fn cut<'a>(
    argv: impl Iterator<Item = (&'a [u8], usize)>,
    left: usize,
    mut room: usize,
) -> (Vec<String>, bool) {
    let (mut shown, mut is_whole) = (Vec::new(), true);
    let mut all = argv;
    for (arg, length) in all.by_ref() {
        let text = String::from_utf8_lossy(&arg[..arg.len().min(room)]).into_owned();
        room = room.saturating_sub(text.len() + 1);
        let cut = length > text.len();
        is_whole &= !cut;
        shown.push(if cut { format!("{text}… ({length} bytes)") } else { text });
        if room == 0 {
            break;
        }
    }
    let left = left + all.count();
    if left > 0 {
        shown.push(format!("… and {left} more arguments"));
        is_whole = false;
    }
    (shown, is_whole)
}
