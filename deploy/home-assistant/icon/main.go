// Command icon draws the app's icon.png and logo.png, the picture of console/web/src/icon.svg:
//
//	go run ./deploy/home-assistant/icon deploy/home-assistant/dlt645-mqtt
package main

import (
	"image"
	"image/color"
	"image/png"
	"log"
	"math"
	"os"
	"path/filepath"
)

var (
	green  = color.NRGBA{0x0b, 0x6b, 0x5d, 0xff}
	white  = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	yellow = color.NRGBA{0xff, 0xd1, 0x66, 0xff}
)

// side is that of the square in which the picture is drawn.
const side = 32

// at returns the colour of a point of the square.
func at(x, y float64) color.NRGBA {
	const corner = 7
	// Beyond the middle of a rounded corner the distance to it counts.
	dx, dy := math.Max(math.Abs(x-16)-(16-corner), 0), math.Max(math.Abs(y-16)-(16-corner), 0)
	switch {
	case math.Hypot(dx, dy) > corner:
		return color.NRGBA{}
	case math.Hypot(x-16, y-20) <= 2.4: // the hub
		return white
	case distance(x, y, 16, 20, 21, 13) <= 1.4: // the needle
		return yellow
	case y <= 20 && math.Abs(math.Hypot(x-16, y-20)-10) <= 1.3, // the scale
		math.Min(math.Hypot(x-6, y-20), math.Hypot(x-26, y-20)) <= 1.3, // its round ends
		distance(x, y, 7, 26, 25, 26) <= 1:
		return white
	}
	return green
}

// distance returns that of a point from a line between two others.
func distance(x, y, x1, y1, x2, y2 float64) float64 {
	along := ((x-x1)*(x2-x1) + (y-y1)*(y2-y1)) / ((x2-x1)*(x2-x1) + (y2-y1)*(y2-y1))
	along = math.Min(math.Max(along, 0), 1)
	return math.Hypot(x-x1-along*(x2-x1), y-y1-along*(y2-y1))
}

// draw makes a picture of some width and height, with the square in its middle.
func draw(width, height int) image.Image {
	const fine = 8 // points of each pixel's side that are averaged
	picture := image.NewNRGBA(image.Rect(0, 0, width, height))
	scale := side / float64(height)
	for py := range height {
		for px := range width {
			var r, g, b, a float64
			for i := range fine * fine {
				x := (float64(px)-float64(width-height)/2)*scale + (float64(i%fine)+0.5)*scale/fine
				y := float64(py)*scale + (float64(i/fine)+0.5)*scale/fine
				c := at(x, y)
				if c.A > 0 {
					r, g, b, a = r+float64(c.R), g+float64(c.G), b+float64(c.B), a+1
				}
			}
			if a > 0 {
				picture.SetNRGBA(px, py, color.NRGBA{uint8(math.Round(r / a)), uint8(math.Round(g / a)), uint8(math.Round(b / a)), uint8(math.Round(a * 255 / (fine * fine)))})
			}
		}
	}
	return picture
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: icon FOLDER")
	}
	for name, width := range map[string]int{"icon.png": 128, "logo.png": 250} {
		file, err := os.Create(filepath.Join(os.Args[1], name))
		if err != nil {
			log.Fatal(err)
		}
		height := min(width, 128)
		if err := png.Encode(file, draw(width, height)); err != nil {
			log.Fatal(err)
		}
		if err := file.Close(); err != nil {
			log.Fatal(err)
		}
	}
}
