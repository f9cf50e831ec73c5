// Package configs holds the models and the hardware that dail ships, and the
// hosted APIs that it compares them with: one YAML file each, embedded, so that
// a program that imports dail needs no checkout.
//
// A model is one variant, matched by the family and quant inside the file; a
// hardware is one GPU type, whose key is the file's name. To add one, or to
// change one, put a file into a folder of your own with the same layout and
// give it as a later layer: a file of the same name takes the shipped one's
// place.
//
//	layers := []compose.Layer{
//		{Name: "configs", FS: configs.FS()},
//		{Name: "/home/me/configs", FS: os.DirFS("/home/me/configs")},
//	}
//
// Prices are list prices of RunPod's secure cloud (its API's default) where one
// was seen, for planning only: what a pod really costs is asked from the
// provider before one is created. price_as_of says when each was seen
// (the first of the month where the source names no day).
//
// An API's prices are list prices too. Each file says when and where they were
// seen, and what could not be seen at its source.
//
// gpu.memory_gb is the memory that CUDA reports, in 10^9 bytes, ECC taken off:
// 23.7 for an L4, 85.0 for an H100 that is sold as 80 GB (which are GiB).
package configs

import (
	"embed"
	"io/fs"
)

//go:embed models/*.yaml hardware/*.yaml apis/*.yaml
var files embed.FS

// FS holds models/*.yaml, hardware/*.yaml and apis/*.yaml at its root.
func FS() fs.FS { return files }
