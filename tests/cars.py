"""Cars that the tests drive."""

from racing_env.car.vehicle_files import read_vehicle

RACECAR = read_vehicle("racecar")
