//! How each digit is written: the strokes of a hand, with its habits drawn at random.
//!
//! Height runs from -0.5 (top) to 0.5, x to the right. Strokes are smooth curves through their points; a point given
//! twice is a corner.

use std::cell::Cell;

use crate::rng::Rng;

/// A point, (x, y).
pub(super) type Point = [f32; 2];
/// A curve through points.
pub(super) type Stroke = Vec<Point>;

/// The strokes of `digit`, 0 to 9.
pub(super) fn write(digit: u32, rng: &mut Rng) -> Vec<Stroke> {
    let mut hand = Hand { rng: Cell::new(*rng), strokes: Vec::new() };
    match digit {
        0 => hand.zero(),
        1 => hand.one(),
        2 => hand.two(),
        3 => hand.three(),
        4 => hand.four(),
        5 => hand.five(),
        6 => hand.six(),
        7 => hand.seven(),
        8 => hand.eight(),
        _ => hand.nine(),
    }
    *rng = hand.rng.get();
    hand.strokes
}

struct Hand {
    /// In a cell, so that random numbers can be drawn in the midst of a list of points.
    rng: Cell<Rng>,
    strokes: Vec<Stroke>,
}

/// Points of an ellipse around (x, y) from `from` over `sweep` degrees; 0 is right, 90 is down.
fn arc(x: f32, y: f32, rx: f32, ry: f32, from: f32, sweep: f32) -> Stroke {
    let n = (sweep.abs() / 45.0).ceil().max(2.0) as usize;
    let at = |i: usize| (from + sweep * i as f32 / n as f32).to_radians();
    (0..=n).map(|i| [x + rx * at(i).cos(), y + ry * at(i).sin()]).collect()
}

impl Hand {
    fn draw<T>(&self, one: impl FnOnce(&mut Rng) -> T) -> T {
        let mut rng = self.rng.get();
        let value = one(&mut rng);
        self.rng.set(rng);
        value
    }

    fn uniform(&self) -> f32 {
        self.draw(Rng::uniform)
    }

    fn range(&self, low: f32, high: f32) -> f32 {
        self.draw(|rng| rng.range(low, high))
    }

    fn chance(&self, p: f32) -> bool {
        self.uniform() < p
    }

    /// Adds a stroke whose points stray a little; corners stay corners.
    fn stroke(&mut self, points: impl Into<Stroke>, stray: f32) {
        let points: Stroke = points.into();
        let mut moved: Stroke = Vec::with_capacity(points.len());
        for (i, p) in points.iter().enumerate() {
            let point = match i.checked_sub(1) {
                Some(before) if points[before] == *p => moved[before],
                _ => [p[0] + stray * self.draw(Rng::normal), p[1] + stray * self.draw(Rng::normal)],
            };
            moved.push(point);
        }
        self.strokes.push(moved);
    }

    fn zero(&mut self) {
        let width = self.range(0.18, 0.44);
        let start = self.range(-150.0, -30.0);
        let sweep = if self.chance(0.85) { -1.0 } else { 1.0 } * self.range(335.0, 395.0);
        let mut ring = arc(0.0, 0.0, width, 0.5, start, sweep);
        // The hand rarely comes back to exactly where it began.
        let (dx, dy) = (self.range(-0.08, 0.08), self.range(-0.06, 0.1));
        let last = ring.len() - 1;
        for (i, p) in ring.iter_mut().enumerate() {
            let t = (i as f32 / last as f32).powi(3);
            *p = [p[0] + dx * t, p[1] + dy * t];
        }
        self.stroke(ring, 0.02);
    }

    fn one(&mut self) {
        let bow = self.range(-0.05, 0.05);
        let lean = self.range(-0.03, 0.03);
        self.stroke([[lean, -0.5], [bow, 0.0], [-lean, 0.5]], 0.012);
        let (flag, base) = match self.uniform() {
            u if u < 0.06 => (true, true),
            u if u < 0.11 => (true, false),
            u if u < 0.13 => (false, true),
            _ => (false, false),
        };
        if flag {
            let (dx, dy) = (self.range(0.1, 0.26), self.range(0.04, 0.22));
            self.stroke([[lean, -0.5], [lean - dx * 0.5, -0.5 + dy * 0.6], [lean - dx, -0.5 + dy]], 0.012);
        }
        if base {
            let (left, right) = (self.range(0.12, 0.3), self.range(0.12, 0.3));
            self.stroke([[-lean - left, 0.5], [-lean, 0.49], [-lean + right, 0.5]], 0.015);
        }
    }

    fn two(&mut self) {
        let w = self.range(0.24, 0.36);
        let top = self.range(-0.36, -0.2);
        let foot = self.range(0.36, 0.46);
        let mut path: Stroke = if self.chance(0.12) {
            // Nearly a Z.
            vec![[-w, -0.44], [0.0, -0.48], [w * 0.8, -0.47], [w * 0.75, -0.3]]
        } else {
            let hook = self.range(-0.1, 0.06);
            vec![[-w * 0.85, top + hook], [-w * 0.6, -0.42], [0.0, -0.5], [w * 0.75, -0.42], [w * 0.85, top + 0.05]]
        };
        let waist = self.range(-0.02, 0.14);
        path.push([waist + 0.06, 0.02]);
        let tail = self.range(-0.12, 0.08);
        let reach = self.range(0.1, 0.48);
        match self.uniform() {
            // A loop in the corner.
            u if u < 0.4 => {
                let size = self.range(0.06, 0.2);
                path.extend([
                    [-w * 0.5, foot - 0.1],
                    [-w * 0.9, foot + 0.02],
                    [-w * 1.15, foot - size * 0.6],
                    [-w * 0.75, foot - size],
                    [-0.02, foot - size * 0.35],
                    [reach * 0.6, foot + 0.02],
                    [reach, foot + tail],
                ]);
            }
            // A sharp corner.
            u if u < 0.8 => {
                let corner = [-w * self.range(0.8, 1.15), foot + self.range(-0.02, 0.06)];
                path.extend([[-w * 0.35, foot - 0.2], corner, corner, [0.0, foot + self.range(-0.05, 0.03)]]);
                path.push([reach, foot + tail * 0.6]);
            }
            // A round one.
            _ => {
                path.extend([[-w * 0.6, foot - 0.14], [-w * 0.85, foot - 0.02], [-w * 0.5, foot + 0.03]]);
                path.push([reach, foot + tail * 0.5]);
            }
        }
        self.stroke(path, 0.022);
    }

    fn three(&mut self) {
        let (upper, lower) = (self.range(0.16, 0.3), self.range(0.2, 0.34));
        let waist = self.range(-0.1, 0.04);
        let inner = self.range(-0.14, 0.08);
        let mut path: Stroke = if self.chance(0.15) {
            let corner = [upper, -0.47];
            vec![[-0.26, -0.46], corner, corner, [(upper + inner) * 0.5, -0.25]]
        } else {
            let start = self.range(-0.42, -0.26);
            vec![[-self.range(0.15, 0.3), start], [-0.06, -0.49], [upper * 0.8, -0.42], [upper * 0.85, -0.22]]
        };
        match self.uniform() {
            // A small loop at the waist.
            u if u < 0.15 => path.extend([[inner, waist], [inner - 0.08, waist + 0.04], [inner, waist + 0.03]]),
            u if u < 0.65 => path.extend([[inner, waist], [inner, waist]]),
            _ => path.extend([[inner + 0.04, waist - 0.02], [inner + 0.05, waist + 0.02]]),
        }
        let mid = self.range(0.18, 0.28);
        let end = [-self.range(0.16, 0.38), self.range(0.28, 0.48)];
        path.extend([[lower * 0.75, waist + 0.09], [lower, mid], [lower * 0.6, 0.44], [-0.06, 0.5], end]);
        self.stroke(path, 0.02);
    }

    fn four(&mut self) {
        let bar = self.range(-0.06, 0.2);
        let over = if self.chance(0.35) { self.range(-0.02, 0.05) } else { self.range(0.05, 0.3) };
        let stem = self.range(0.02, 0.2);
        let left = -self.range(0.22, 0.38);
        let tilt = self.range(-0.1, 0.06);
        let foot = stem + self.range(-0.1, 0.06);
        match self.uniform() {
            // Open, the stem apart.
            u if u < 0.6 => {
                let high = self.range(-0.5, -0.3);
                let lean = self.range(-0.06, 0.2);
                let top = self.range(-0.5, -0.22);
                let corner = [left, bar];
                let begin = [left + lean, high];
                if self.chance(0.6) {
                    self.stroke(
                        [begin, [left + lean * 0.3, (high + bar) / 2.0], corner, corner, [stem + over, bar + tilt]],
                        0.018,
                    );
                } else {
                    let round = [left + 0.07, bar + 0.03];
                    self.stroke(
                        [begin, [left + lean * 0.2, bar - 0.16], round, [0.0, bar + 0.01], [stem + over, bar + tilt]],
                        0.018,
                    );
                }
                self.stroke([[stem + self.range(-0.02, 0.08), top], [stem, bar], [foot, 0.5]], 0.015);
            }
            // Closed, with a pointed top.
            u if u < 0.75 => {
                let top = [stem, -0.5];
                let corner = [left, bar];
                self.stroke(
                    [top, [(stem + left) / 2.0, (bar - 0.5) / 2.0], corner, corner, [stem + over, bar + tilt * 0.5]],
                    0.018,
                );
                self.stroke(
                    [[stem + self.range(-0.01, 0.04), self.range(-0.5, -0.4)], [stem, bar], [foot, 0.5]],
                    0.015,
                );
            }
            // In one go: down, across, up, down.
            _ => {
                let high = self.range(-0.5, -0.34);
                let tip = [stem + self.range(0.02, 0.12), self.range(-0.5, -0.25)];
                self.stroke(
                    [
                        [left + self.range(0.0, 0.1), high],
                        [left, bar - 0.16],
                        [left + 0.1, bar],
                        [stem - 0.1, bar - 0.04],
                        tip,
                        tip,
                        [stem, bar],
                        [foot, 0.5],
                    ],
                    0.018,
                );
            }
        }
    }

    fn five(&mut self) {
        let left = -self.range(0.12, 0.28);
        let reach = self.range(0.1, 0.45);
        let rise = self.range(-0.06, 0.1);
        let waist = self.range(-0.14, 0.04);
        let belly = self.range(0.18, 0.34);
        let end = [-self.range(0.18, 0.42), self.range(0.28, 0.48)];
        let bowl = [[belly * 0.6, waist - 0.0], [belly, (waist + 0.5) * 0.45], [belly * 0.55, 0.42], [-0.08, 0.5], end];
        let high = -0.46 + rise.max(0.0);
        let tip = [reach, high - rise];
        if self.chance(0.25) {
            // All in one bow, like an S.
            let mut path = vec![tip, [left * 0.2, high], [left, -0.25], [left * 0.6, waist - 0.02]];
            path.extend(bowl);
            self.stroke(path, 0.02);
            return;
        }
        let corner = [left + self.range(-0.02, 0.08), high];
        let knee = [left + self.range(-0.06, 0.04), waist + 0.02];
        let mut body = if self.chance(0.6) {
            vec![corner, [(corner[0] + knee[0]) / 2.0, (corner[1] + knee[1]) / 2.0], knee, knee, [0.0, waist - 0.07]]
        } else {
            vec![corner, [left, (high + waist) / 2.0], [left + 0.06, waist], [0.02, waist - 0.02]]
        };
        body.extend(bowl);
        if self.chance(0.5) {
            body.splice(0..0, [tip, [(tip[0] + corner[0]) / 2.0, high - rise * 0.4], corner]);
            self.stroke(body, 0.018);
        } else {
            // The bar comes last and does not always meet the rest.
            self.stroke(body, 0.018);
            let (dx, dy) = (self.range(-0.02, 0.1), self.range(-0.04, 0.04));
            self.stroke(
                [[corner[0] + dx, high + dy], [(tip[0] + corner[0]) / 2.0, high - rise * 0.4 + dy], tip],
                0.018,
            );
        }
    }

    fn six(&mut self) {
        let back = self.range(0.2, 0.32);
        let top = self.range(0.0, 0.28);
        let eye = self.range(-0.08, 0.18);
        let belly = self.range(0.16, 0.34);
        let bulge = self.range(0.3, 1.0);
        let close = self.range(-0.25, 0.1);
        let mut path = vec![
            [top, -0.5],
            [top * 0.3 - back * 0.45 * bulge, -0.25],
            [-back, 0.08],
            [-back * 0.85, 0.36],
            [-0.02, 0.5],
            [belly * 0.85, 0.38],
            [belly, (eye + 0.5) * 0.55],
            [belly * 0.5, eye],
            [-back * 0.3, eye + 0.08],
        ];
        path.push([-back * 0.8 + close * 0.2, eye + 0.24 + close * 0.2]);
        if self.chance(0.25) {
            path.truncate(9);
        }
        self.stroke(path, 0.02);
    }

    fn seven(&mut self) {
        let left = -self.range(0.18, 0.36);
        let right = self.range(0.16, 0.32);
        let slope = self.range(-0.08, 0.08);
        let foot = self.range(-0.22, 0.12);
        let bow = self.range(-0.1, 0.08);
        let top = -0.44;
        let mut path = Vec::new();
        let hook = self.uniform();
        if hook < 0.25 {
            let start = [left, top + slope];
            path.extend([[left - self.range(-0.03, 0.04), top + self.range(0.08, 0.24)], start, start]);
        } else if hook < 0.4 {
            path.extend([[left - 0.02, top + self.range(0.04, 0.16)], [left + 0.06, top]]);
        } else {
            path.push([left, top + slope]);
        }
        let corner = [right, top - slope * 0.6];
        path.push([(left + right) / 2.0, top + self.range(-0.05, 0.05)]);
        if self.chance(0.65) {
            path.extend([corner, corner]);
        } else {
            path.extend([[right - 0.06, corner[1]], [right, corner[1] + 0.08]]);
        }
        path.extend([[(right + foot) / 2.0 + bow, 0.0], [foot, 0.5]]);
        self.stroke(path, 0.018);
        if self.chance(0.13) {
            let y = self.range(-0.08, 0.12);
            let x = (right + foot) / 2.0 + bow;
            let (l, r) = (self.range(0.12, 0.26), self.range(0.1, 0.24));
            self.stroke([[x - l, y + self.range(-0.04, 0.06)], [x, y], [x + r, y + self.range(-0.05, 0.04)]], 0.015);
        }
    }

    fn eight(&mut self) {
        let (upper, lower) = (self.range(0.14, 0.28), self.range(0.16, 0.32));
        let waist = self.range(-0.08, 0.08);
        if self.chance(0.12) {
            // Two rings.
            let (a, b) = (self.range(-130.0, -40.0), self.range(-130.0, -40.0));
            let (turn_a, turn_b) = (self.range(345.0, 380.0), self.range(345.0, 380.0));
            self.stroke(arc(0.0, (waist - 0.5) / 2.0, upper, (waist + 0.5) / 2.0, a, -turn_a), 0.015);
            self.stroke(arc(0.0, (waist + 0.5) / 2.0, lower, (0.5 - waist) / 2.0, b, -turn_b), 0.015);
            return;
        }
        let (hi, lo) = ((waist - 0.5) / 2.0, (waist + 0.5) / 2.0);
        let open = if self.chance(0.6) { self.range(-0.03, 0.03) } else { self.range(-0.05, 0.14) };
        let start = [upper * self.range(0.6, 1.1), hi - self.range(0.0, 0.14)];
        let cross = self.range(-0.05, 0.05);
        let path = vec![
            start,
            [0.02, -0.5],
            [-upper * 0.95, hi],
            [cross - 0.02, waist],
            [lower * 0.95, lo],
            [0.0, 0.5],
            [-lower * 0.95, lo],
            [cross + 0.02, waist],
            [upper * 0.75, hi + 0.03 + open * 0.3],
            [start[0] + open, start[1] + open * 0.5],
        ];
        self.stroke(path, 0.02);
    }

    fn nine(&mut self) {
        let (left, right) = (-self.range(0.16, 0.32), self.range(0.12, 0.24));
        let eye = self.range(-0.16, 0.08);
        let tip = [right + self.range(-0.02, 0.05), -self.range(0.28, 0.48)];
        let mid = (eye - 0.5) / 2.0;
        let mut path = vec![
            [right * self.range(0.5, 1.0), -self.range(0.36, 0.48)],
            [-0.02, -0.5],
            [left * 0.85, mid - 0.06],
            [left * 0.75, mid + 0.12],
            [-0.04, eye],
            [right * 0.75, mid + 0.08],
        ];
        match self.uniform() {
            u if u < 0.5 => path.extend([tip, tip]),
            _ => path.push(tip),
        }
        let foot = self.range(-0.14, 0.16);
        match self.uniform() {
            // A straight tail.
            u if u < 0.6 => path.extend([[(right + foot) / 2.0 + 0.03, 0.05], [foot, 0.5]]),
            // A tail that curls to the left.
            _ => path.extend([
                [right + 0.02, 0.05],
                [right * 0.7, 0.36],
                [0.0, 0.5],
                [-self.range(0.1, 0.3), self.range(0.36, 0.48)],
            ]),
        }
        self.stroke(path, 0.018);
    }
}
