//! Draws the pictures of the demo shop's kitchen products: what the text says, to be seen.
//!
//! Takes a product's [`Design`]; gives a small PNG: the form of its kind in the colour of the product, or that of its material,
//! with the pattern of its motif and a mark where something is printed on it, on pale ground. Called by `generate.rs` only.
//! Integers only, so that the pixels are the same on every machine.

use std::io::Cursor;

use image::{ImageError, ImageFormat, Rgb, RgbImage};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::text::Design;

/// Width and height in pixels.
const SIZE: u32 = 48;
/// The colours of the table of colours, in its order.
const COLOURS: [[u8; 3]; 8] = [
    [38, 52, 112],
    [104, 134, 92],
    [186, 88, 56],
    [226, 164, 162],
    [212, 162, 46],
    [240, 230, 204],
    [56, 58, 64],
    [142, 108, 156],
];
/// The colours of undyed materials, in the order of their table.
const MATERIALS: [[u8; 3]; 12] = [
    [222, 212, 198],
    [164, 116, 70],
    [230, 222, 204],
    [206, 198, 186],
    [170, 174, 180],
    [190, 216, 218],
    [204, 178, 140],
    [128, 76, 44],
    [196, 154, 108],
    [188, 160, 96],
    [214, 218, 220],
    [120, 140, 150],
];
/// Of what has neither.
const PLAIN: [u8; 3] = [214, 196, 164];
/// What is printed.
const INK: [u8; 3] = [196, 42, 62];

/// The forms of a theme's kinds, in the order of its table; `None` for themes that have no pictures. A form is made of
/// `box x y width height`, `disc x y width height` and `hole x y width height` (a disc of the ground), in pixels.
fn forms(theme: usize) -> Option<&'static [&'static str]> {
    match theme {
        0 => Some(&KITCHEN),
        8 => Some(&BAKING),
        _ => None,
    }
}

const KITCHEN: [&str; 10] = [
    "disc 26 14 16 18, hole 30 18 8 10, box 10 10 22 28",
    "disc 4 6 40 34, hole 0 -14 48 34",
    "disc 4 4 40 40, hole 13 13 22 22, disc 14 14 20 20",
    "box 12 14 24 28, box 20 4 8 12, hole 22 6 4 4",
    "box 6 8 36 32, hole 22 4 5 5",
    "box 14 6 20 12, box 8 18 32 26, box 2 20 6 3, box 40 20 6 3",
    "disc 28 12 16 22, hole 32 16 8 14, box 12 8 20 34, disc 6 6 14 8",
    "box 16 4 16 6, box 10 10 28 32",
    "disc 2 12 30 30, box 30 24 16 6",
    "box 10 6 5 38, disc 8 4 9 14, box 22 6 5 38, box 34 6 5 38, disc 32 4 9 18",
];

const BAKING: [&str; 10] = [
    "box 4 18 40 18, box 2 16 44 4",
    "disc 3 12 42 28, hole 10 16 28 12",
    "box 10 18 28 12, box 2 22 8 4, box 38 22 8 4",
    "disc 3 4 18 18, hole 7 8 10 10, box 27 5 16 16, disc 14 26 20 20, hole 18 30 12 12",
    "disc 2 2 44 42, hole -2 -14 52 34",
    "box 12 10 24 34, box 16 4 16 8",
    "box 8 10 32 32, box 6 8 36 5",
    "box 6 28 36 14, disc 8 12 32 12, box 21 20 6 10",
    "disc 2 12 44 12, box 20 20 8 18, disc 12 36 24 8",
    "box 4 20 28 8, disc 20 16 16 14, box 32 21 14 6",
];

/// The picture of a product; `None` where its kind is not drawn. `rng` moves and tints it a little, as a photographer would.
pub(crate) fn picture(rng: &mut ChaCha8Rng, design: &Design) -> Result<Option<Vec<u8>>, ImageError> {
    let Some(form) = forms(design.theme).and_then(|forms| forms.get(design.kind)) else { return Ok(None) };
    let own = match (design.colour, design.material) {
        (Some((colour, _)), _) => COLOURS[colour],
        (None, Some((material, _))) => MATERIALS[material],
        (None, None) => PLAIN,
    };
    let mut some = |most: i32| rng.random_range(-most..=most);
    let light = some(12);
    let paint = own.map(|value| (i32::from(value) + light).clamp(0, 255));
    let ground = 240 + some(8);
    let (right, down) = (some(2), some(2));
    let mut image = RgbImage::from_pixel(SIZE, SIZE, Rgb([ground as u8, ground as u8, (ground - 6) as u8]));
    for part in form.split(", ") {
        draw(&mut image, part, (right, down), paint, ground, design.motif);
    }
    if design.print.is_some() {
        draw(&mut image, "disc 18 22 9 9", (right, down), INK.map(i32::from), ground, None);
    }
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    Ok(Some(png.into_inner()))
}

/// Draws one part of a form.
fn draw(image: &mut RgbImage, part: &str, by: (i32, i32), paint: [i32; 3], ground: i32, motif: Option<usize>) {
    let mut words = part.split(' ');
    let shape = words.next().unwrap_or_default();
    let mut number = || words.next().and_then(|word| word.parse::<i32>().ok()).unwrap_or_default();
    let (left, top, width, height) = (number() + by.0, number() + by.1, number(), number());
    for y in top.max(0)..(top + height).min(SIZE as i32) {
        for x in left.max(0)..(left + width).min(SIZE as i32) {
            // Twice the distances from the middle, so that the middle of a pixel is an integer.
            let (dx, dy) = (2 * (x - left) + 1 - width, 2 * (y - top) + 1 - height);
            let inside = dx * dx * height * height + dy * dy * width * width <= width * width * height * height;
            if shape != "box" && !inside {
                continue;
            }
            let pixel = if shape == "hole" {
                [ground, ground, ground - 6]
            } else {
                // Light comes from the left, and a motif is a pattern of darker pixels.
                let shade = (dx * 14) / width.max(1);
                let dark = if is_dark(motif, x - by.0, y - by.1) { 44 } else { 0 };
                paint.map(|value| (value - shade - dark).clamp(0, 255))
            };
            image.put_pixel(x as u32, y as u32, Rgb(pixel.map(|value| value as u8)));
        }
    }
}

/// Whether the pattern of a motif has a mark there: upright lines, dots, lines across, or none for the third.
fn is_dark(motif: Option<usize>, x: i32, y: i32) -> bool {
    match motif {
        Some(0) => x % 4 == 0,
        Some(1) => (x * 5 + y * 3) % 11 == 0,
        Some(3) => y % 6 == 0,
        _ => false,
    }
}
