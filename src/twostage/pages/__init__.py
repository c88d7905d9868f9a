"""What the pages show: for each page a folder with its analysis, tables and plots."""
