//! Pictures of screens, made easier to read for tesseract: it is trained on black text on white paper, scanned at 300 dpi.

use std::io::Cursor;
use std::sync::Arc;

/// A picture that is no readable PNG file.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPicture {
    #[error("it is no PNG file that can be read: {0}")]
    Decode(#[from] png::DecodingError),
    #[error("it cannot be written as PNG: {0}")]
    Encode(#[from] png::EncodingError),
}

/// What is done to a picture before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nothing.
    Raw,
    /// It is enlarged in shades of gray, with more contrast.
    Large,
    /// The same, and only what is dark stays so. All else becomes white: bright and dim text on a black screen become alike.
    TwoTone,
}

/// How much larger letters get: those of a screen are 8 to 16 pixels high, and 20 to 30 are read best.
const SCALE: usize = 2;
/// No picture gets more pixels than this (an A4 page at 300 dpi, twice): reading takes time for each.
const PIXELS: usize = 16_000_000;
/// Of so many pixels one may be lost at either end when the contrast is raised. A line of text takes less than a hundredth of a screen.
const OUTLIERS: usize = 5000;
/// Shades below this one are dark.
const DARK: u8 = 0x40;
/// 300 dpi.
const PIXELS_PER_METRE: u32 = 11_811;

impl Reading {
    /// All, in the order in which they are tried.
    pub(super) const ALL: &'static [Self] = &[Self::Raw, Self::Large, Self::TwoTone];

    /// The PNG file to read for this one.
    pub(super) fn prepare(self, png: Arc<Vec<u8>>) -> Result<Vec<u8>, BadPicture> {
        if self == Self::Raw {
            return Ok(Arc::unwrap_or_clone(png));
        }
        let mut picture = Gray::decode(&png)?;
        picture.stretch();
        let mut picture = picture.scale();
        if self == Self::TwoTone {
            picture.map(|shade| if shade < DARK { 0 } else { u8::MAX });
        }
        Ok(picture.encode()?)
    }
}

/// A picture in shades of gray: 0 is black.
#[derive(Debug, PartialEq, Eq)]
struct Gray {
    width: usize,
    pixels: Vec<u8>,
}

impl Gray {
    fn decode(png: &[u8]) -> Result<Self, png::DecodingError> {
        let mut decoder = png::Decoder::new(Cursor::new(png));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info()?;
        let mut bytes = vec![0; reader.output_buffer_size().ok_or(png::DecodingError::LimitsExceeded)?];
        let frame = reader.next_frame(&mut bytes)?;
        let samples = frame.color_type.samples();
        let pixels = bytes[..frame.buffer_size()].chunks_exact(samples).map(luminance).collect();
        Ok(Self { width: frame.width as usize, pixels })
    }

    fn encode(&self) -> Result<Vec<u8>, png::EncodingError> {
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, size(self.width), size(self.height()));
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fastest);
        let dots =
            Some(png::PixelDimensions { xppu: PIXELS_PER_METRE, yppu: PIXELS_PER_METRE, unit: png::Unit::Meter });
        encoder.set_pixel_dims(dots);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(file)
    }

    fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    fn map(&mut self, change: impl Fn(u8) -> u8) {
        for pixel in &mut self.pixels {
            *pixel = change(*pixel);
        }
    }

    /// Spreads the shades over all that there are.
    fn stretch(&mut self) {
        let mut counts = [0_usize; 256];
        for pixel in &self.pixels {
            counts[usize::from(*pixel)] += 1;
        }
        let outliers = self.pixels.len() / OUTLIERS;
        let beyond = |mut shades: Box<dyn Iterator<Item = u8>>| {
            let mut seen = 0;
            let found = shades.find(|shade| {
                seen += counts[usize::from(*shade)];
                seen > outliers
            });
            u32::from(found.unwrap_or_default())
        };
        let (darkest, lightest) = (beyond(Box::new(0..=255)), beyond(Box::new((0..=255).rev())));
        if darkest < lightest {
            let range = lightest - darkest;
            let spread = |shade| (u32::from(shade).clamp(darkest, lightest) - darkest) * 255 / range;
            self.map(|shade| u8::try_from(spread(shade)).unwrap_or(u8::MAX));
        }
    }

    /// Enlarges it; shades between two pixels are in between (bilinear interpolation).
    fn scale(&self) -> Self {
        let factor = (1..=SCALE).rev().find(|factor| self.pixels.len() * factor * factor <= PIXELS).unwrap_or(1);
        let columns = Sample::along(self.width, factor);
        let mut pixels = Vec::with_capacity(self.pixels.len() * factor * factor);
        for row in Sample::along(self.height(), factor) {
            let (upper, lower) = (self.row(row.first), self.row(row.second));
            pixels.extend(columns.iter().map(|column| {
                let above = column.mix(upper[column.first], upper[column.second]);
                let below = column.mix(lower[column.first], lower[column.second]);
                row.mix(above, below)
            }));
        }
        Self { width: self.width * factor, pixels }
    }

    fn row(&self, number: usize) -> &[u8] {
        &self.pixels[number * self.width..][..self.width]
    }
}

/// Between which two of the old pixels a new one lies.
struct Sample {
    first: usize,
    second: usize,
    /// How near to the second, of `whole`.
    weight: usize,
    whole: usize,
}

impl Sample {
    /// All along an edge of `length` pixels that gets `factor` times as long.
    fn along(length: usize, factor: usize) -> Vec<Self> {
        // The middles of old and new pixels, counted in half new pixels.
        let whole = 2 * factor;
        let sample = |new: usize| {
            let middle = (2 * new + 1).saturating_sub(factor);
            let first = middle / whole;
            Self { first, second: (first + 1).min(length - 1), weight: middle % whole, whole }
        };
        (0..length * factor).map(sample).collect()
    }

    fn mix(&self, first: u8, second: u8) -> u8 {
        let sum = usize::from(first) * (self.whole - self.weight) + usize::from(second) * self.weight;
        u8::try_from(sum / self.whole).unwrap_or(u8::MAX)
    }
}

/// The shade of a pixel of one (gray), two (with alpha), three (red, green, blue) or four samples (ITU-R BT.601).
fn luminance(samples: &[u8]) -> u8 {
    match *samples {
        [red, green, blue, ..] => {
            let sum = u32::from(red) * 299 + u32::from(green) * 587 + u32::from(blue) * 114;
            u8::try_from(sum / 1000).unwrap_or(u8::MAX)
        }
        [gray, ..] => gray,
        [] => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, pixels: &[u8]) -> Gray {
        Gray { width, pixels: pixels.to_vec() }
    }

    #[test]
    fn pictures_survive_a_file() {
        let picture = gray(3, &[0, 1, 2, 253, 254, 255]);
        assert_eq!(Gray::decode(&picture.encode().unwrap()).unwrap(), picture);
    }

    #[test]
    fn colours_become_shades() {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 4, 1);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255]).unwrap();
        writer.finish().unwrap();
        assert_eq!(Gray::decode(&file).unwrap(), gray(4, &[255, 76, 149, 29]));
    }

    #[test]
    fn contrast_is_raised() {
        let mut picture = gray(2, &[100, 150, 125, 150]);
        picture.stretch();
        assert_eq!(picture.pixels, [0, 255, 127, 255]);
        let mut even = gray(2, &[7, 7]);
        even.stretch();
        assert_eq!(even.pixels, [7, 7]);
    }

    #[test]
    fn pictures_grow_smoothly() {
        let large = gray(2, &[0, 60]).scale();
        assert_eq!((large.width, large.height()), (4, 2));
        assert_eq!(large.pixels[..4], [0, 15, 45, 60]);
        let huge = gray(5000, &vec![9; 5000 * 3200]).scale();
        assert_eq!((huge.width, huge.height()), (5000, 3200));
    }

    #[test]
    fn each_reading_has_its_picture() {
        let png = Arc::new(gray(3, &[50, 100, 150]).encode().unwrap());
        let row = |reading: Reading| Gray::decode(&reading.prepare(png.clone()).unwrap()).unwrap().pixels[..6].to_vec();
        assert_eq!(row(Reading::Large), [0, 31, 95, 159, 223, 255]);
        assert_eq!(row(Reading::TwoTone), [0, 0, 255, 255, 255, 255]);
        assert_eq!(Reading::Raw.prepare(png.clone()).unwrap(), *png);
    }

    #[test]
    fn what_is_no_picture_is_told() {
        let error = Reading::Large.prepare(Arc::new(b"P6 1 1".to_vec())).unwrap_err();
        assert!(error.to_string().starts_with("it is no PNG file"), "{error}");
    }
}
