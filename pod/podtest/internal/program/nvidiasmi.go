package program

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// driver is every machine's: of the CUDA version that the API reports.
const driver = "580.95.05"

// nvidiaSMI shows the machine's cards: -L, --query-gpu, or the table.
func nvidiaSMI(gpu GPU, args []string, stdout, stderr io.Writer) int {
	if gpu.Lost {
		fmt.Fprintln(stdout, "Unable to determine the device handle for GPU0: 0000:01:00.0: GPU is lost.  Reboot the system to recover this GPU")
		return 15
	}
	if gpu.Count == 0 {
		fmt.Fprintln(stdout, "No devices were found")
		return 6
	}
	var fields, format []string
	list := false
	for i := 0; i < len(args); i++ {
		flag, value, given := strings.Cut(args[i], "=")
		if !given && (flag == "--query-gpu" || flag == "--format" || flag == "-i" || flag == "--id") && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch flag {
		case "-L", "--list-gpus":
			list = true
		case "--query-gpu":
			fields = splitList(value)
		case "--format":
			format = splitList(value)
		case "-i", "--id":
			if n, err := strconv.Atoi(value); err != nil || n >= gpu.Count {
				fmt.Fprintf(stdout, "No devices were found\n")
				return 6
			}
			gpu.Count = 1
		default:
			fmt.Fprintf(stderr, "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n")
			return 2
		}
	}
	switch {
	case list:
		for i := range gpu.Count {
			fmt.Fprintf(stdout, "GPU %d: %s (UUID: %s)\n", i, gpu.Name, uuid(i))
		}
	case fields != nil:
		return query(gpu, fields, format, stdout)
	default:
		table(gpu, stdout)
	}
	return 0
}

func splitList(s string) []string {
	var out []string
	for f := range strings.SplitSeq(s, ",") {
		out = append(out, strings.TrimSpace(f))
	}
	return out
}

func uuid(i int) string { return fmt.Sprintf("GPU-00000000-0000-4000-8000-%012d", i) }

// query is --query-gpu: a line of CSV per card.
func query(gpu GPU, fields, format []string, stdout io.Writer) int {
	if !slices.Contains(format, "csv") {
		fmt.Fprintln(stdout, `"--format=" switch is missing. Please specify at least csv format.`)
		return 2
	}
	units := !slices.Contains(format, "nounits")
	if !slices.Contains(format, "noheader") {
		fmt.Fprintln(stdout, strings.Join(fields, ", "))
	}
	for i := range gpu.Count {
		var row []string
		for _, f := range fields {
			value, unit := field(gpu, i, f)
			if value == "" {
				fmt.Fprintf(stdout, "Field %q is not a valid field to query.\n", f)
				return 2
			}
			if units && unit != "" {
				value += " " + unit
			}
			row = append(row, value)
		}
		fmt.Fprintln(stdout, strings.Join(row, ", "))
	}
	return 0
}

func field(gpu GPU, i int, name string) (value, unit string) {
	switch name {
	case "name", "gpu_name":
		return gpu.Name, ""
	case "memory.total":
		return strconv.Itoa(gpu.MemoryMiB), "MiB"
	case "memory.used":
		return "1", "MiB"
	case "memory.free":
		return strconv.Itoa(gpu.MemoryMiB - 1), "MiB"
	case "driver_version":
		return driver, ""
	case "index":
		return strconv.Itoa(i), ""
	case "uuid", "gpu_uuid":
		return uuid(i), ""
	case "count":
		return strconv.Itoa(gpu.Count), ""
	case "utilization.gpu", "utilization.memory":
		return "0", "%"
	case "temperature.gpu":
		return "30", ""
	case "pci.bus_id":
		return fmt.Sprintf("00000000:%02X:00.0", i+1), ""
	}
	return "", ""
}

func table(gpu GPU, stdout io.Writer) {
	fmt.Fprintf(stdout, "| NVIDIA-SMI %s    Driver Version: %s    CUDA Version: 13.0 |\n", driver, driver)
	for i := range gpu.Count {
		fmt.Fprintf(stdout, "| %3d  %-50s 1MiB / %dMiB |\n", i, gpu.Name, gpu.MemoryMiB)
	}
}
