"""A researcher's own file as a study of a collection: read, mapped, reshaped, written whole or not at all."""

from twostage.importing.blocks import file_options
from twostage.importing.job import import_file
from twostage.importing.mapping import FILL_IN
from twostage.importing.names import listed
from twostage.importing.openesm import openesm_file
from twostage.importing.preview import Asked, mapping_place, suggest
from twostage.importing.steps import listening
