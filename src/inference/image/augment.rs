//! Augmentation: takes a picture that is trained on, changes it a little, so that a model does not learn by heart how it was
//! taken. Drawn first ([`Augmentation::draw`]) and applied where the picture is decoded ([`Picture::change`]), before it is
//! resized.
//!
//! What is drawn is that of torchvision's `RandomHorizontalFlip`, `RandomResizedCrop` and `ColorJitter`, with ranges for
//! pictures of products, which fill most of theirs: <https://docs.pytorch.org/vision/stable/transforms.html>.

use super::picture::Picture;
use super::resize::CHANNELS;
use crate::random::Random;

/// The least share of the area that a crop keeps.
const LEAST_AREA: f64 = 0.5;
/// The most that a crop is wider than the picture, and lower.
const MOST_RATIO: f64 = 4.0 / 3.0;
/// How far brightness, contrast and saturation are from what they were.
const JITTER: f64 = 0.2;
/// The brightness of red, green and blue: ITU-R BT.601.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// What may be done to pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Augmentation {
    /// Half of them are mirrored.
    pub(crate) flip: bool,
    /// A part is cut out, of 50 to 100% of the area, at most 4/3 times as wide or as high as the picture's shape.
    pub(crate) crop: bool,
    /// Brightness, contrast and saturation are multiplied by 0.8 to 1.2.
    pub(crate) color: bool,
}

/// What is done to one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    flip: bool,
    crop: Option<Crop>,
    /// Factors of brightness, contrast and saturation.
    color: Option<[f32; 3]>,
}

/// A part of a picture, in shares of its edges.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Crop {
    width: f64,
    height: f64,
    /// Where it lies in the room that is left, from 0 to 1.
    left: f64,
    top: f64,
}

impl Augmentation {
    /// Draws what is done to one picture. As many numbers are drawn for every picture.
    pub(crate) fn draw(self, random: &mut Random) -> Change {
        let flip = random.uniform() < 0.5;
        let area = LEAST_AREA + (1.0 - LEAST_AREA) * random.uniform();
        let ratio = (MOST_RATIO.ln() * (2.0 * random.uniform() - 1.0)).exp();
        let (width, height) = ((area * ratio).sqrt().min(1.0), (area / ratio).sqrt().min(1.0));
        let crop = Crop { width, height, left: random.uniform(), top: random.uniform() };
        let color = std::array::from_fn(|_| (1.0 + JITTER * (2.0 * random.uniform() - 1.0)) as f32);
        Change { flip: self.flip && flip, crop: self.crop.then_some(crop), color: self.color.then_some(color) }
    }
}

impl Picture {
    /// Changes the picture.
    pub(super) fn change(&mut self, change: &Change) {
        if let Some(crop) = change.crop {
            self.crop(crop);
        }
        if change.flip {
            self.mirror();
        }
        if let Some(factors) = change.color {
            self.jitter(factors);
        }
    }

    fn crop(&mut self, crop: Crop) {
        let span = |edge: usize, share: f64, place: f64| {
            let length = ((edge as f64 * share).round() as usize).clamp(1, edge);
            (((edge - length) as f64 * place).round() as usize, length)
        };
        let (left, width) = span(self.width, crop.width, crop.left);
        let (top, height) = span(self.height, crop.height, crop.top);
        for row in 0..height {
            let from = CHANNELS * ((top + row) * self.width + left);
            self.rgb.copy_within(from..from + CHANNELS * width, CHANNELS * row * width);
        }
        self.rgb.truncate(CHANNELS * width * height);
        (self.width, self.height) = (width, height);
    }

    fn mirror(&mut self) {
        for line in self.rgb.chunks_exact_mut(CHANNELS * self.width) {
            line.reverse();
            line.chunks_exact_mut(CHANNELS).for_each(<[u8]>::reverse);
        }
    }

    /// Brightness is a factor of all levels; contrast one of their distance from the picture's mean brightness, and saturation
    /// one of a pixel's distance from its own.
    fn jitter(&mut self, [brightness, contrast, saturation]: [f32; 3]) {
        let luma = |pixel: &[f32]| pixel.iter().zip(LUMA).map(|(level, weight)| level * weight).sum::<f32>();
        let bright = |pixel: &[u8]| [0, 1, 2].map(|channel| (f32::from(pixel[channel]) * brightness).min(255.0));
        let pixels = self.rgb.len() / CHANNELS;
        let total = self.rgb.chunks_exact(CHANNELS).map(|pixel| f64::from(luma(&bright(pixel)))).sum::<f64>();
        let mean = (total / pixels.max(1) as f64) as f32;
        for pixel in self.rgb.chunks_exact_mut(CHANNELS) {
            let levels = bright(pixel).map(|level| (mean + contrast * (level - mean)).clamp(0.0, 255.0));
            let own = luma(&levels);
            for (level, changed) in pixel.iter_mut().zip(levels) {
                *level = (own + saturation * (changed - own)).round().clamp(0.0, 255.0) as u8;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: Augmentation = Augmentation { flip: true, crop: true, color: true };
    const NONE: Augmentation = Augmentation { flip: false, crop: false, color: false };

    /// Every pixel is another one.
    fn picture(width: usize, height: usize) -> Picture {
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, (x * y) as u8]));
        Picture { width, height, rgb: rgb.collect(), ..Picture::default() }
    }

    fn changed(picture: &Picture, change: Change) -> (usize, usize, Vec<u8>) {
        let mut copy =
            Picture { width: picture.width, height: picture.height, rgb: picture.rgb.clone(), ..Picture::default() };
        copy.change(&change);
        (copy.width, copy.height, copy.rgb)
    }

    #[test]
    fn a_flip_mirrors_the_pixels() {
        let original = picture(7, 3);
        let flip = Change { flip: true, crop: None, color: None };
        let (width, height, rgb) = changed(&original, flip);
        assert_eq!((width, height), (7, 3));
        for y in 0..3 {
            for x in 0..7 {
                let pixel = |rgb: &[u8], x: usize| rgb[3 * (y * 7 + x)..][..3].to_vec();
                assert_eq!(pixel(&rgb, x), pixel(&original.rgb, 6 - x));
            }
        }
    }

    #[test]
    fn a_crop_is_a_part_of_the_picture() {
        let original = picture(40, 20);
        let crop = Crop { width: 0.5, height: 0.75, left: 1.0, top: 0.0 };
        let (width, height, rgb) = changed(&original, Change { flip: false, crop: Some(crop), color: None });
        assert_eq!((width, height, rgb.len()), (20, 15, 3 * 20 * 15));
        assert_eq!(&rgb[..2], [20, 0]);
        assert_eq!(&rgb[rgb.len() - 3..][..2], [39, 14]);
    }

    #[test]
    fn colours_are_jittered_as_their_factors_say() {
        let of = |pixel: [u8; 3], factors| {
            let mut picture = Picture { width: 1, height: 1, rgb: pixel.to_vec(), ..Picture::default() };
            picture.jitter(factors);
            picture.rgb
        };
        assert_eq!(of([100, 50, 200], [1.0; 3]), [100, 50, 200]);
        assert_eq!(of([100, 50, 200], [1.2, 1.0, 1.0]), [120, 60, 240]);
        assert_eq!(of([100, 250, 200], [1.2, 1.0, 1.0]), [120, 255, 240]);
        // The brightness of the pixel, 0.299 * 100 + 0.587 * 50 + 0.114 * 200 = 82.05.
        assert_eq!(of([100, 50, 200], [1.0, 1.0, 0.0]), [82, 82, 82]);
        assert_eq!(of([100, 50, 200], [1.0, 0.0, 1.0]), [82, 82, 82]);
        assert_eq!(of([100, 50, 200], [1.0, 1.0, 1.2]), [104, 44, 224]);
    }

    #[test]
    fn the_same_seed_draws_the_same_and_nothing_wanted_changes_nothing() {
        let original = picture(31, 17);
        let draws = |augmentation: Augmentation, seed| {
            let mut random = Random::new(seed, 1);
            (0..20).map(|_| changed(&original, augmentation.draw(&mut random))).collect::<Vec<_>>()
        };
        assert_eq!(draws(ALL, 7), draws(ALL, 7));
        assert_ne!(draws(ALL, 7), draws(ALL, 8));
        assert!(draws(NONE, 7).iter().all(|(width, height, rgb)| (*width, *height, rgb) == (31, 17, &original.rgb)));
    }

    #[test]
    fn half_are_mirrored_and_areas_spread_evenly() {
        let mut random = Random::new(3, 0);
        let changes = (0..4000).map(|_| ALL.draw(&mut random)).collect::<Vec<_>>();
        let flips = changes.iter().filter(|change| change.flip).count();
        assert!((1850..2150).contains(&flips), "{flips}");
        let areas = changes.iter().map(|change| change.crop.map(|crop| crop.width * crop.height).unwrap());
        let mean = areas.clone().sum::<f64>() / 4000.0;
        assert!(areas.clone().all(|area| (LEAST_AREA - 1e-9..=1.0).contains(&area)));
        assert!((0.70..0.76).contains(&mean), "{mean}");
    }

    proptest! {
        #[test]
        fn no_picture_is_too_small(width in 1usize..5, height in 1usize..5, seed in any::<u64>()) {
            let (wide, high, rgb) = changed(&picture(width, height), ALL.draw(&mut Random::new(seed, 0)));
            prop_assert!((1..=width).contains(&wide) && (1..=height).contains(&high));
            prop_assert_eq!(rgb.len(), 3 * wide * high);
        }
    }
}
