//! SVG: layout-rs places the boxes, this file paints them.

use std::fmt::Write;

use dlc_ir::Graph;
use layout::core::base::Orientation;
use layout::core::color::Color;
use layout::core::format::{ClipHandle, RenderBackend};
use layout::core::geometry::Point;
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;

use super::Picture;

const LINE_HEIGHT: f64 = 16.0;
const CHAR_WIDTH: f64 = 6.9;
const MARGIN: f64 = 24.0;
/// The font size in boxes, which distinguishes their text from labels of edges: layout-rs draws both with one call.
const BOX_FONT: usize = 12;

/// The graph as an SVG picture, one function below the other.
pub fn svg(graph: &Graph) -> String {
    let mut canvas = Canvas::default();
    for picture in super::pictures(graph) {
        canvas.picture(&picture);
    }
    canvas.finish()
}

#[derive(Default)]
struct Canvas {
    /// The edges, drawn below all boxes: layout-rs routes some of them across a box.
    edges: String,
    body: String,
    /// The top of the current picture, and the extent of everything so far.
    top: f64,
    right: f64,
    bottom: f64,
}

impl Canvas {
    fn picture(&mut self, picture: &Picture) {
        self.top = self.bottom + MARGIN;
        let title = escape(&picture.title);
        let _ = writeln!(self.body, "<text x=\"{MARGIN}\" y=\"{}\" class=\"title\">{title}</text>", self.top + 6.0);
        self.top += 20.0;
        self.bottom = self.top;
        let mut graph = VisualGraph::new(Orientation::TopToBottom);
        let handles: Vec<_> = picture
            .boxes
            .iter()
            .map(|node| {
                let widest = node.lines.iter().map(|l| l.chars().count()).max().unwrap_or(1);
                let size = Point::new(widest as f64 * CHAR_WIDTH + 24.0, node.lines.len() as f64 * LINE_HEIGHT + 14.0);
                let fill = Color::new((node.kind.fill() << 8) | 0xff);
                let look = StyleAttr::new(Color::new(0x8a8f98ff), 1, Some(fill), 6, BOX_FONT);
                let shape = ShapeKind::new_box(&node.lines.join("\n"));
                graph.add_node(Element::create(shape, look, Orientation::TopToBottom, size))
            })
            .collect();
        let mut drawn = vec![];
        for edge in &picture.edges {
            // several operands from one node are one arrow
            if !drawn.contains(&(edge.from, edge.to)) {
                drawn.push((edge.from, edge.to));
                graph.add_edge(Arrow::simple(&edge.label), handles[edge.from], handles[edge.to]);
            }
        }
        if !handles.is_empty() {
            graph.do_it(false, false, false, self);
        }
    }

    fn reach(&mut self, x: f64, y: f64) {
        self.right = self.right.max(x);
        self.bottom = self.bottom.max(y);
    }

    /// A point of the layout on the canvas.
    fn place(&mut self, point: Point) -> (f64, f64) {
        let (x, y) = (point.x + MARGIN, point.y + self.top);
        self.reach(x, y);
        (x, y)
    }

    fn finish(self) -> String {
        let (width, height) = (self.right + MARGIN, self.bottom + MARGIN);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">\n\
             <!-- drawn by dlc -->\n\
             <style>text{{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1f2430}} .head{{font-weight:600}} \
             .type{{font-size:10px;fill:#5b6270}} .edge{{paint-order:stroke;stroke:#fff;stroke-width:5px}} .title{{font:600 16px Helvetica,Arial,sans-serif}}</style>\n\
             <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
             <path d=\"M0 0L8 4L0 8z\" fill=\"#8a8f98\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}{}</svg>\n",
            self.edges, self.body
        )
    }
}

impl RenderBackend for Canvas {
    fn draw_rect(&mut self, xy: Point, size: Point, look: &StyleAttr, _: Option<String>, _: Option<ClipHandle>) {
        let (x, y) = self.place(xy);
        self.reach(x + size.x, y + size.y);
        let fill = look.fill_color.map_or("none".to_owned(), |c| c.to_web_color());
        let stroke = look.line_color.to_web_color();
        let (w, h) = (size.x, size.y);
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"6\" fill=\"{fill}\" stroke=\"{stroke}\"/>"
        );
    }

    fn draw_line(&mut self, start: Point, stop: Point, look: &StyleAttr, _: Option<String>) {
        let ((x1, y1), (x2, y2)) = (self.place(start), self.place(stop));
        let stroke = look.line_color.to_web_color();
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\"/>"
        );
    }

    fn draw_circle(&mut self, xy: Point, size: Point, look: &StyleAttr, _: Option<String>) {
        let (x, y) = self.place(xy);
        let stroke = look.line_color.to_web_color();
        let r = size.x / 2.0;
        let _ =
            writeln!(self.body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\" fill=\"none\" stroke=\"{stroke}\"/>");
    }

    fn draw_text(&mut self, xy: Point, text: &str, look: &StyleAttr) {
        let (x, y) = self.place(xy);
        let lines: Vec<&str> = text.lines().collect();
        let first = y - (lines.len() as f64 - 1.0) * LINE_HEIGHT / 2.0 + 4.0;
        for (i, line) in lines.iter().enumerate() {
            let class = match (look.font_size, i) {
                (BOX_FONT, 0) => "head",
                (BOX_FONT, _) => "type",
                // the label of an edge, which layout-rs places on it
                _ => "type edge",
            };
            let line_y = first + i as f64 * LINE_HEIGHT;
            let line = escape(line);
            let _ = writeln!(
                self.body,
                "<text x=\"{x:.1}\" y=\"{line_y:.1}\" text-anchor=\"middle\" class=\"{class}\">{line}</text>"
            );
        }
    }

    fn draw_arrow(
        &mut self,
        path: &[(Point, Point)],
        _: bool,
        _: (bool, bool),
        _: &StyleAttr,
        _: Option<String>,
        _: &str,
    ) {
        let points: Vec<_> = path.iter().map(|&(a, b)| (self.place(a), self.place(b))).collect();
        let [(from, exit), (entry, to), rest @ ..] = points.as_slice() else { return };
        let mut d = format!(
            "M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
            from.0, from.1, exit.0, exit.1, entry.0, entry.1, to.0, to.1
        );
        for (control, to) in rest {
            let _ = write!(d, "S{:.1} {:.1} {:.1} {:.1}", control.0, control.1, to.0, to.1);
        }
        let _ = writeln!(self.edges, "<path d=\"{d}\" fill=\"none\" stroke=\"#8a8f98\" marker-end=\"url(#tip)\"/>");
    }

    fn create_clip(&mut self, _: Point, _: Point, _: usize) -> ClipHandle {
        0
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
