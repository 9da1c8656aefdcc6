//! Pictures of messages for the documentation, drawn from what is sent.

use std::fmt::Write as _;

use super::super::Rendered;

/// Pixels.
const WIDTH: usize = 520;
const LINE: usize = 19;
const PAD: usize = 12;
const BUTTON: usize = 32;

/// Characters of a line; a longer one is wrapped.
const COLUMNS: usize = 58;

/// A line: its pieces, each with the kind of its entity, or none.
type Line = Vec<(&'static str, String)>;

/// Draws messages below each other.
pub(super) fn picture(messages: &[Rendered]) -> String {
    let (mut body, mut y) = (String::new(), PAD);
    for message in messages {
        y = bubble(&mut body, y, message) + PAD;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <style>.code, .pre {{ font-family: monospace; font-size: 13px; fill: #1d4f91 }} .bold {{ font-weight: bold }} \
         .text_link {{ fill: #2a7ae2; text-decoration: underline }}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#d5e3ee\"/>\n{body}</svg>\n"
    )
}

/// Draws one, and gives where it ends.
fn bubble(out: &mut String, top: usize, message: &Rendered) -> usize {
    let lines = lines(message);
    let height = lines.len() * LINE + 2 * PAD;
    let width = WIDTH - 2 * PAD;
    rect(out, [PAD, top, width, height], "#fff");
    for (number, line) in lines.iter().enumerate() {
        let y = top + PAD + number * LINE;
        if line.iter().any(|(kind, _)| *kind == "pre") {
            rect(out, [2 * PAD - 4, y, width - 2 * PAD + 8, LINE], "#eef3f8");
        }
        let mut text = String::new();
        for (kind, piece) in line {
            let _ = write!(text, "<tspan class=\"{kind}\">{}</tspan>", escaped(piece));
        }
        let (x, y) = (2 * PAD, y + 14);
        let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" xml:space=\"preserve\">{text}</text>");
    }
    let mut y = top + height + 4;
    for row in &message.buttons {
        let each = (width + 4) / row.len() - 4;
        for (number, button) in row.iter().enumerate() {
            let x = PAD + number * (each + 4);
            rect(out, [x, y, each, BUTTON], "#a9c3d8");
            let (middle, base) = (x + each / 2, y + 21);
            let text = escaped(&button.text);
            let _ = writeln!(
                out,
                "<text x=\"{middle}\" y=\"{base}\" text-anchor=\"middle\">{text}</text>"
            );
        }
        y += BUTTON + 4;
    }
    y
}

fn rect(out: &mut String, [x, y, width, height]: [usize; 4], fill: &str) {
    let _ = writeln!(
        out,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"{fill}\"/>"
    );
}

/// The lines of a message as they are wrapped, from the text and its entities alone.
fn lines(message: &Rendered) -> Vec<Line> {
    let (mut lines, mut line, mut columns, mut at) = (Vec::new(), Line::new(), 0, 0);
    for c in message.text.text.chars() {
        let holds = |entity: &&super::super::super::wire::Entity| {
            (entity.offset..entity.offset + entity.length).contains(&at)
        };
        let kind = message.text.entities.iter().find(holds).map_or("plain", |entity| entity.kind);
        at += c.len_utf16();
        if c == '\n' || columns == COLUMNS {
            lines.push(std::mem::take(&mut line));
            columns = 0;
        }
        if c == '\n' {
            continue;
        }
        columns += 1;
        match line.last_mut() {
            Some((last, piece)) if *last == kind => piece.push(c),
            _ => line.push((kind, c.to_string())),
        }
    }
    lines.push(line);
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
