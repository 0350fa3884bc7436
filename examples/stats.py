# Summary statistics of a small table.
import numpy as np
import pandas as pd

random = np.random.default_rng(seed=7)
heights_cm = random.normal(loc=172, scale=9, size=500)
people = pd.DataFrame({
    "height_cm": heights_cm,
    "weight_kg": (heights_cm - 100) * 0.9 + random.normal(scale=6, size=500),
})

print(f"correlation: {people['height_cm'].corr(people['weight_kg']):.2f}")
people.describe().round(1)
