# A picture: two waves and their sum. `hearth run` saves it as hearth-1.png.
import matplotlib.pyplot as plt
import numpy as np

t = np.linspace(0, 2, 1000)
low, high = np.sin(2 * np.pi * t), 0.4 * np.sin(2 * np.pi * 7 * t)

figure, axes = plt.subplots(figsize=(7, 3.5))
axes.plot(t, low, "--", label="1 Hz", alpha=0.6)
axes.plot(t, high, "--", label="7 Hz", alpha=0.6)
axes.plot(t, low + high, label="sum")
axes.set(xlabel="time in s", title="Two waves and their sum")
axes.legend(loc="upper right")
plt.show()
