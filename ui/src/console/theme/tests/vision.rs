//! How colours look to eyes that see fewer of them, and how far apart they are.

use super::super::Rgb;

/// Whose eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eyes {
    Usual,
    /// No red cones.
    Protan,
    /// No green cones.
    Deutan,
    /// No blue cones.
    Tritan,
}

impl Eyes {
    pub const ALL: [Self; 4] = [Self::Usual, Self::Protan, Self::Deutan, Self::Tritan];

    /// A colour as these eyes see it: Machado, Oliveira and Fernandes, "A physiologically-based model
    /// for simulation of color vision deficiency" (IEEE TVCG 15, 2009), severity 1.0, on linear RGB.
    pub fn see(self, color: Rgb) -> Rgb {
        let matrix: [[f64; 3]; 3] = match self {
            Self::Usual => return color,
            Self::Protan => {
                [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
            }
            Self::Deutan => {
                [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
            }
            Self::Tritan => {
                [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
            }
        };
        let seen = linear(color);
        let [r, g, b] = matrix.map(|row| encode(row.iter().zip(seen).map(|(m, v)| m * v).sum()));
        Rgb(r, g, b)
    }
}

fn linear(color: Rgb) -> [f64; 3] {
    [color.0, color.1, color.2].map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
}

fn encode(linear: f64) -> u8 {
    let v = linear.clamp(0.0, 1.0);
    let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    (v * 255.0).round() as u8
}

/// Distance in OKLab (Ottosson, "A perceptual color space for image processing", 2020): black to white
/// is 1, what can just be told apart side by side about 0.02.
pub fn distance(a: Rgb, b: Rgb) -> f64 {
    oklab(a).iter().zip(oklab(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn oklab(color: Rgb) -> [f64; 3] {
    let [r, g, b] = linear(color);
    let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
    let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
    let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
    [
        0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
        1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s,
        0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s,
    ]
}

#[test]
fn the_simulation_does_what_it_says() {
    let (red, green) = (Rgb(200, 60, 60), Rgb(100, 120, 50));
    assert!(distance(red, green) > 0.15, "{}", distance(red, green));
    assert!(distance(Eyes::Deutan.see(red), Eyes::Deutan.see(green)) < 0.06);
    assert!(distance(Eyes::Tritan.see(red), Eyes::Tritan.see(green)) > 0.15);
    for eyes in Eyes::ALL {
        let grey = eyes.see(Rgb(128, 128, 128));
        assert!(distance(grey, Rgb(128, 128, 128)) < 0.01, "{eyes:?} see grey as {grey:?}");
    }
    assert!((distance(Rgb(0, 0, 0), Rgb(255, 255, 255)) - 1.0).abs() < 1e-3);
}
