use std::io::Write;
use std::path::Path;

use tokio::time::{Instant, sleep};

use super::*;

/// Letters of seven rows with five columns.
const LETTERS: &[(char, [u8; 7])] = &[
    ('A', [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001]),
    ('D', [0b11110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b11110]),
    ('E', [0b11111, 0b10000, 0b10000, 0b11110, 0b10000, 0b10000, 0b11111]),
    ('L', [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111]),
    ('N', [0b10001, 0b11001, 0b10101, 0b10101, 0b10101, 0b10011, 0b10001]),
    ('P', [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000]),
    ('R', [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001]),
    ('T', [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100]),
];

/// A dark screen of 640 × 200 pixels with light text on it, as PNG.
pub(super) fn drawn(text: &str) -> Vec<u8> {
    painted(text, 200, 20)
}

fn painted(text: &str, ink: u8, paper: u8) -> Vec<u8> {
    const SCALE: usize = 3;
    const WIDTH: usize = 640;
    const HEIGHT: usize = 200;
    let mut pixels = vec![paper; WIDTH * HEIGHT];
    for (place, letter) in text.chars().enumerate() {
        let Some((_, rows)) = LETTERS.iter().find(|(known, _)| *known == letter) else { continue };
        for (y, row) in rows.iter().enumerate() {
            for x in (0..5).filter(|x| row & (0b10000 >> x) != 0) {
                for pixel in 0..SCALE * SCALE {
                    let column = 40 + place * 6 * SCALE + x * SCALE + pixel % SCALE;
                    pixels[(80 + y * SCALE + pixel / SCALE) * WIDTH + column] = ink;
                }
            }
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 640, 200);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    file
}

/// Whether tesseract is there. Where the environment variable `CI` is set, it must be.
fn tesseract() -> bool {
    let there = super::super::ocr::Tesseract::find().is_some();
    if !there {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "tesseract is not installed");
        let _ = writeln!(std::io::stderr(), "skipped: tesseract is not installed");
    }
    there
}

#[tokio::test(start_paused = true)]
async fn screenshots_are_files() {
    let bench = bench();
    let png = drawn("A");
    bench.fake.shows(png.clone());
    let path = bench.machine.screenshot("shot").await.unwrap();
    assert_eq!(path, bench.output.path().join("shot.png"));
    assert_eq!(std::fs::read(&path).unwrap(), png);
    assert_eq!(bench.titles(), [format!("making screenshot {}", path.display())]);
    let elsewhere = tempfile::tempdir().unwrap();
    let given = elsewhere.path().join("a.png");
    assert_eq!(bench.machine.screenshot(given.to_str().unwrap()).await.unwrap(), given);
    assert!(given.is_file());
    let nowhere = elsewhere.path().join("no/a.png");
    let message = refusal(bench.machine.screenshot(nowhere.to_str().unwrap()).await);
    let expected = format!("machine server: screenshot: there is no directory {}", nowhere.parent().unwrap().display());
    assert_eq!(message, expected);
    assert!(!Path::new(&nowhere).exists());
}

#[tokio::test]
async fn text_is_read() {
    if !tesseract() {
        return;
    }
    let bench = bench();
    bench.fake.shows(drawn("TENDER READ PLATE"));
    let text = bench.machine.screen_text().await.unwrap();
    assert!(text.contains("READ"), "{text:?}");
    let mut variants = bench.machine.screen_text_variants().await.unwrap();
    let mut texts = Vec::new();
    while let Some(text) = variants.next().await {
        texts.push(text.unwrap());
    }
    assert_eq!((texts.len(), &texts[0]), (3, &text));
    assert!(texts[2].contains("READ"), "{texts:?}");
}

#[tokio::test]
async fn text_is_waited_for() {
    if !tesseract() {
        return;
    }
    let bench = bench();
    bench.fake.shows(drawn("PLATE"));
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(secs(2)).await;
        fake.shows(drawn("LEADER"));
    });
    let began = Instant::now();
    bench.machine.wait_for_text("LEAD", secs(60)).await.unwrap();
    assert!(began.elapsed() >= secs(2), "{:?}", began.elapsed());
    assert_eq!(bench.titles(), ["waiting for LEAD to appear on screen"]);

    let message = refusal(bench.machine.wait_for_text("PLATE", secs(3)).await);
    assert!(message.starts_with("waiting for PLATE to appear on screen: action timed out after"), "{message}");
    assert!(message.contains("last seen: the text [\"LEADER"), "{message}");
    assert!(bench.messages().pop().unwrap().starts_with("Last OCR attempt failed. Text was: [\"LEADER"));
}

#[tokio::test]
async fn a_wait_for_text_ends_with_the_machine() {
    if !tesseract() {
        return;
    }
    let bench = bench();
    bench.fake.boot_says(["Kernel panic"]);
    bench.fake.shows(drawn("PLATE"));
    bench.machine.start().await.unwrap();
    let fake = bench.fake.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(200)).await;
        fake.lose("its kernel panicked");
    });
    let error = fault(bench.machine.wait_for_text("LEAD", secs(900)).await);
    assert_eq!((&*error.cause, &*error.last_seen), ("its kernel panicked", &["Kernel panic".to_owned()][..]));
}

#[tokio::test]
async fn a_picture_that_is_none_is_told() {
    if !tesseract() {
        return;
    }
    let bench = bench();
    bench.fake.shows(*b"P6 no picture");
    let error = fault(bench.machine.screen_text().await);
    assert!(error.to_string().starts_with("machine server: read the text on the screen: OCR failed with"), "{error}");
}
