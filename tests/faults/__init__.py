"""Nothing that was answered with success is lost, whatever dies: the harness behind `make faults`."""
