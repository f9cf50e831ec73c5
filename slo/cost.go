package slo

// HoursPerMonth is the month of cost_per_dev_month: 365 × 24 ÷ 12 hours, a
// server that is never switched off.
const HoursPerMonth = 730

// CostPerHour is what the GPUs cost per hour in USD: price × GPUs.
func CostPerHour(usdPerGPUHour float64, gpus int) float64 {
	return usdPerGPUHour * float64(gpus)
}

// CostPerDevHour is price × GPUs ÷ N in USD; n is the number of developers who
// work at once, at least 1.
func CostPerDevHour(usdPerGPUHour float64, gpus, n int) float64 {
	return CostPerHour(usdPerGPUHour, gpus) / float64(n)
}

// CostPerDevMonth is price × GPUs × hours ÷ N in USD. hours is how long the
// server is rented per month; 0 is [HoursPerMonth].
func CostPerDevMonth(usdPerGPUHour float64, gpus, n int, hours float64) float64 {
	if hours == 0 {
		hours = HoursPerMonth
	}
	return CostPerDevHour(usdPerGPUHour, gpus, n) * hours
}

// CostPerMTok is USD per million tokens at a cost per hour and a rate of
// tokens per hour; false where no token was made.
func CostPerMTok(costPerHour, tokensPerHour float64) (float64, bool) {
	if tokensPerHour <= 0 {
		return 0, false
	}
	return costPerHour / tokensPerHour * 1e6, true
}

// PodCost is what billed time costs in USD: seconds × price × GPUs ÷ 3600.
func PodCost(billedSeconds, usdPerGPUHour float64, gpus int) float64 {
	return billedSeconds / 3600 * CostPerHour(usdPerGPUHour, gpus)
}

// Utilization is the share of a rate in the highest one known, the saturated
// server's or the best level's, and its inverse, the penalty: by what factor a
// token costs more than on a full server. It may exceed 1 where the level
// outran the yardstick. False where there is no yardstick or no work.
func Utilization(rate, highest float64) (share, penalty float64, ok bool) {
	if rate <= 0 || highest <= 0 {
		return 0, 0, false
	}
	return rate / highest, highest / rate, true
}
