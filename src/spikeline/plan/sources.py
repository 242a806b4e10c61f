"""Where data comes from: what the jobs that fetch, convert and embed read, and their arguments."""

from __future__ import annotations

from typing import Any

from spikeline.errors import InputError
from spikeline.plan.config import as_settings
from spikeline.plan.locations import flag, flags, is_address, local_file, location
from spikeline.plan.subjects import Subjects
from spikeline.settings.schema import unknown
from spikeline.settings.steps import selected
from spikeline.settings.windows import area_windows

Files = str | list[str]
# Which kind of dataset an entry of some kind reads, and which kind of twin stands in for it.
_DATASET_OF = {
    "tvsd": "datalad",
    "dataset": "datalad",
    "ibl": "one",
    "allen": "allen",
    "allen_templates": "allen",
}
_TWIN_OF = {"datalad": "ventral", "one": "behaving", "allen": "behaving"}
_TWIN_FOLDER = {"one": "alf", "allen": "nwb"}
# What decides which images a ventral twin designs.
_DESIGN = ("seed", "concepts", "images_per_concept", "test_images")
# Where ONE keeps what it downloads.
ONE_CACHE = "resources/caches/one"
# What rule simulate_place_cells writes, apart from the true rates.
PLACE_CELL_ARRAYS = (
    "spikes.times.npy", "spikes.clusters.npy", "tracking.times.npy", "tracking.position.npy",
)  # fmt: skip


class Sources(Subjects):
    """Twins, datasets, subjects, stimuli, sessions and encoders of a config."""

    def settings(self, step: str, section: str, name: str) -> str:
        """The settings of a step that reads one entry."""
        return as_settings(selected(step, self.config.entry(section, name)))

    # --- twins and datasets -----------------------------------------------------------------------

    def twin_settings(self, twin: str) -> str:
        """A ventral twin's settings; its monkeys are the subjects that read it."""
        settings = selected("simulate-ventral", self.config.entry("twins", twin))
        return as_settings(settings | {"subjects": self._monkeys(twin)})

    def _monkeys(self, twin: str) -> dict[str, Any]:
        return {
            subject["folder"]: {"regions": subject["regions"]}
            for subject in self.config["subjects"].values()
            if subject["kind"] == "tvsd"
            and self.config.entry("datasets", subject["dataset"]).get("twin") == twin
        }

    def dataset(self, name: str, kind: str) -> Any:
        """A dataset of a kind.

        Raises:
            InputError: it is of another kind, or its twin is unknown or of the wrong kind.
        """
        dataset = self.config.entry("datasets", name)
        if dataset["kind"] != kind:
            raise InputError(f"dataset {name!r}: expected kind {kind!r}, got {dataset['kind']!r}")
        if dataset.get("twin"):
            twin = self.config.entry("twins", dataset["twin"])
            if twin["kind"] != _TWIN_OF[kind]:
                raise InputError(
                    f"dataset {name!r}: expected a twin of kind {_TWIN_OF[kind]!r}, got "
                    f"{dataset['twin']!r} of kind {twin['kind']!r}"
                )
        return dataset

    def clone_origin(self, section: str, name: str) -> Files:
        """The simulated origin of a DataLad dataset; none where it is fetched from outside."""
        twin = self._dataset_of(section, name)["twin"]
        return f"resources/twins/{twin}" if twin else []

    def clone_arguments(self, section: str, name: str) -> list[str]:
        """Which dataset `fetch-dataset` clones, which version, and where to."""
        entry = self._dataset_of(section, name)
        url = self.clone_origin(section, name) or location(entry["url"])
        clone = f"resources/datasets/{self.config.entry(section, name)['dataset']}"
        return ["--url", url, *flag("--commit", entry["commit"]), "--clone", clone]

    def cache(self, section: str, name: str) -> Files:
        """The dataset of a session or stimulus set: simulated, or a local copy; none if remote.

        A cache of AllenSDK's is no input: it fills itself, and would look changed after a download.
        """
        entry = self._dataset_of(section, name)
        if entry.get("twin"):
            return f"resources/twins/{entry['twin']}/{_TWIN_FOLDER[entry['kind']]}"
        return location(entry["cache"]) if entry["kind"] == "one" and "cache" in entry else []

    def one_arguments(self, session: str) -> list[str]:
        """How ONE is started for a session."""
        entry = self._dataset_of("sessions", session)
        revision = flag("--revision", entry.get("revision"))
        local = self.cache("sessions", session)
        if local:
            return ["--cache", local, *revision]
        login = self.login(session)
        return ["--url", entry["url"], "--cache", ONE_CACHE, "--login", login, *revision]

    def login(self, session: str) -> Files:
        """The login to the database that a session is in; none where it lies here."""
        dataset = self.config.entry("sessions", session)["dataset"]
        remote = "url" in self._dataset_of("sessions", session)
        return f"resources/logins/{dataset}.json" if remote else []

    def login_arguments(self, dataset: str) -> list[str]:
        """Which database `fetch-ibl-login` logs in to.

        Raises:
            InputError: the dataset lies here.
        """
        entry = self.dataset(dataset, "one")
        if "url" not in entry:
            raise InputError(f"config datasets.{dataset}: has no url; nothing to log in to")
        server = flag("--data-server", entry["data_server"])
        return ["--url", location(entry["url"]), "--cache", ONE_CACHE, *server]

    def allen_arguments(self, section: str, name: str) -> list[str]:
        """Which cache AllenSDK opens for a session or stimulus set, and how it is filled."""
        local = self.cache(section, name)
        if local:
            return ["--cache", local]
        entry = self._dataset_of(section, name)
        server = flag("--server", entry["server"])
        timeout = flag("--timeout-minutes", entry["timeout_minutes"])
        return ["--cache", location(entry["cache"]), *server, *timeout]

    def allen_minutes(self, section: str, name: str) -> float:
        """Wall time that a job with AllenSDK's cache is given: its downloads, and reading them."""
        return self._dataset_of(section, name)["timeout_minutes"] + 60

    def _dataset_of(self, section: str, name: str) -> Any:
        entry = self.config.entry(section, name)
        try:
            return self.dataset(entry["dataset"], _DATASET_OF[entry["kind"]])
        except InputError as error:
            raise InputError(f"config {section}.{name}: {error}") from None

    # --- subjects and sessions --------------------------------------------------------------------

    def file(self, section: str, name: str, key: str) -> Files:
        """A local file that an entry names; none where it names none, or an address.

        Raises:
            InputError: it does not exist, and is none that a twin will write.
        """
        entry = self.config.entry(section, name)
        path, where = entry.get(key), f"config {section}.{name}.{key}"
        if not path:
            return []
        if not entry.get("twin"):
            return local_file(path, where)
        if path not in PLACE_CELL_ARRAYS:
            raise InputError(
                f"{where}: {path!r} is no file of a simulated recording; known are "
                f"{list(PLACE_CELL_ARRAYS)}"
            )
        return f"{self._recorded(name)}/{path}"

    def _recorded(self, session: str) -> str:
        """The folder of the twin whose arrays a session is.

        Raises:
            InputError: the twin is unknown or of another kind.
        """
        twin = self.config.entry("sessions", session)["twin"]
        kind = self.config.entry("twins", twin)["kind"]
        if kind != "place_cells":
            raise InputError(
                f"config sessions.{session}.twin: expected a twin of kind 'place_cells', got "
                f"{twin!r} of kind {kind!r}"
            )
        return f"resources/twins/{twin}"

    def own_arguments(self, section: str, name: str, **options: str) -> list[str]:
        """`--option path` for each of these files that the config names.

        From names rather than from the job's inputs: Snakemake compares those as a set, and would
        not notice two files that changed places.
        """
        arguments = []
        for key, option in options.items():
            arguments += flag(option, self.file(section, name, key))
        return arguments

    def clock_arguments(self, session: str) -> list[str]:
        """In what `convert-spikes` counts time, and what the behaviour is a position of."""
        entry = self.config.entry("sessions", session)
        rate = flag("--samples-per-second", entry["samples_per_second"])
        return [*rate, *flag("--behaviour-kind", entry["behaviour_kind"])]

    def windows(self, windows: str, subject: str) -> str:
        """A subject's responses over the windows of an entry.

        Raises:
            InputError: there is no such entry, its areas leave one of the subject's without a
                window, or the subject has no presentations in time.
        """
        entry = self.config.entry("windows", windows)
        own = self.config.entry("subjects", subject)
        if own["kind"] != "tvsd":
            raise InputError(
                f"config subjects.{subject}: is of kind {own['kind']!r} and has no presentations "
                f"in time, which windows {windows!r} takes; expected kind 'tvsd'"
            )
        regions = self.regions(subject)
        for place, given, otherwise in (
            (f"config windows.{windows}", entry["areas"], entry["window"]),
            (f"config subjects.{subject}.published_windows", own["published_windows"], None),
        ):
            area_windows(regions, given, otherwise, place)
        return f"results/windows/{windows}/{subject}.h5"

    def session_stimuli(self, session: str) -> str | None:
        """The stimulus set that a session was shown, if any."""
        stimuli = self.config.entry("sessions", session).get("stimuli")
        if stimuli:
            self.config.entry("stimuli", stimuli)
        return stimuli

    def true_rates(self, session: str) -> Files:
        """The simulation that kept the rates of a session; none for a real recording."""
        entry = self.config.entry("sessions", session)
        if entry.get("twin"):
            return f"{self._recorded(session)}/rates.h5"
        name = entry.get("dataset")
        twin = self.config.entry("datasets", name).get("twin") if name else None
        return f"resources/twins/{twin}/simulation" if twin else []

    def recording(self, session: str) -> Any:
        """What tells recordings apart, whatever the sessions are called."""
        entry = self.config.entry("sessions", session)
        if entry["kind"] == "arrays":
            return entry["twin"], entry["times"]
        return entry["dataset"], str(entry["session"])

    # --- stimuli and encoders ---------------------------------------------------------------------

    def packed_from(self, stimuli: str) -> Files:
        """What a stimulus set is packed from: a fetched archive, or a local folder or zip."""
        entry = self.config.entry("stimuli", stimuli)
        images = entry["images"] if entry["kind"] == "archive" else ""
        if images and not is_address(images) and not entry["sha256"]:
            return self.file("stimuli", stimuli, "images")
        # Fetched, or copied where there is a checksum to prove.
        return f"resources/archives/{stimuli}.zip"

    def subject_stimuli(self, subject: str) -> str:
        """The packed images that a subject saw."""
        return self.packed(self.stimuli_of(subject))

    def embeddings(self, encoder: str, subject: str) -> str:
        """An encoder's embeddings of the images that a subject saw."""
        return self.embeddings_of(encoder, self.stimuli_of(subject))

    def embeddings_of(self, encoder: str, stimuli: str) -> str:
        """An encoder's embeddings of a stimulus set."""
        self.config.entry("encoders", encoder)
        self.config.entry("stimuli", stimuli)
        return f"results/embeddings/{encoder}/{stimuli}.h5"

    def training_stimuli(self, encoder: str) -> str:
        """The packed images that the demo's encoder is trained on."""
        return self.packed(self.config.entry("encoders", encoder)["stimuli"])

    def training_captions(self, encoder: str) -> str:
        """The captions of those images."""
        return f"resources/captions/{self.config.entry('encoders', encoder)['stimuli']}.tsv"

    def check_design(self, stimuli: str, subject: str, where: str) -> None:
        """Raise InputError where simulated images are not designed as those that a subject saw.

        Further images leave out the test's captions, and a bank holds what was shown, only where
        both twins design the same images.
        """
        own, other = self._ventral_twin(stimuli), self._ventral_twin(self.stimuli_of(subject))
        if own is None or other is None:
            return
        ours, theirs = (self.config.entry("twins", twin) for twin in (own, other))
        for key in _DESIGN:
            if ours[key] != theirs[key]:
                raise InputError(
                    f"{where}: its images, of twin {own!r}, have {key} {ours[key]}, and those that "
                    f"{subject} saw, of twin {other!r}, {theirs[key]}; let both have the same"
                )

    def _ventral_twin(self, stimuli: str) -> str | None:
        """The twin that simulates a stimulus set; None where its images are real."""
        entry = self.config.entry("stimuli", stimuli)
        if entry["kind"] != "dataset":
            return None
        return self.config.entry("datasets", entry["dataset"]).get("twin")

    def packed(self, stimuli: str) -> str:
        """The packed images of a set."""
        self.config.entry("stimuli", stimuli)
        return f"resources/stimuli/{stimuli}.zip"

    def captions_file(self, stimuli: str) -> str:
        """Where a dataset keeps the captions of its images."""
        captions = self.config.entry("stimuli", stimuli).get("captions")
        if not captions:
            raise InputError(f"config stimuli.{stimuli}: has no captions, which demo_clip needs")
        return captions

    def categories_file(self, stimuli: str) -> str:
        """Where a dataset keeps the categories of its images."""
        categories = self.config.entry("stimuli", stimuli).get("categories")
        if not categories:
            raise InputError(f"config stimuli.{stimuli}: names no table of categories")
        return categories

    def factors(self, stimuli: str) -> str:
        """The table of factors of an image set.

        Raises:
            InputError: it names none, or of an archive one that is no local file.
        """
        named = self.factors_file(stimuli)
        if self.config.entry("stimuli", stimuli)["kind"] == "dataset":
            return f"resources/factors/{stimuli}.tsv"
        return local_file(named, f"config stimuli.{stimuli}.factors")

    def factors_file(self, stimuli: str) -> str:
        """Where the factors of an image set are: in its dataset, or a local file."""
        factors = self.config.entry("stimuli", stimuli).get("factors")
        if not factors:
            raise InputError(f"config stimuli.{stimuli}: names no table of factors; give `factors`")
        return factors

    def subject_categories(self, subject: str) -> Files:
        """The categories of the images that a subject saw; none where they are not known.

        Raises:
            InputError: of an archive they must be a local file.
        """
        stimuli = self.stimuli_of(subject)
        entry = self.config.entry("stimuli", stimuli)
        if not entry.get("categories"):
            return []
        if entry["kind"] == "dataset":
            return f"resources/categories/{stimuli}.tsv"
        found = self.file("stimuli", stimuli, "categories")
        if not found:
            raise InputError(
                f"config stimuli.{stimuli}.categories: is an address; download it and give the file"
            )
        return found

    def template_arguments(self, stimuli: str) -> list[str]:
        """Which of Allen's stimulus templates are fetched."""
        entry = self.config.entry("stimuli", stimuli)
        return [*flag("--scenes", entry["scenes"] and "all"), *flags("--movies", entry["movies"])]

    def packing_arguments(self, stimuli: str) -> list[str]:
        """How `pack-stimuli` names and opens the images."""
        entry = self.config.entry("stimuli", stimuli)
        password = flag("--password-variable", entry.get("password_variable"))
        side = flag("--shorter-side", entry.get("shorter_side"))
        return [*flag("--prefix", entry["prefix"]), *password, *side]

    def local_weights(self, encoder: str) -> Files:
        """A folder of weights in local-dir: format, trained here or named in the config."""
        entry = self.config.entry("encoders", encoder)
        if entry["kind"] == "demo_clip":
            return f"resources/encoders/{encoder}"
        if entry["kind"] == "open_clip" and entry["model"].startswith("local-dir:"):
            folder = entry["model"].removeprefix("local-dir:")
            return local_file(folder, f"config encoders.{encoder}.model")
        return []

    def downloaded_weights(self, encoder: str) -> Files:
        """Downloaded weights; none where the encoder is trained here or lies in a folder."""
        entry = self.config.entry("encoders", encoder)
        downloaded = entry["kind"] != "demo_clip" and not self.local_weights(encoder)
        return f"resources/weights/{encoder}" if downloaded else []

    def weights_arguments(self, encoder: str) -> list[str]:
        """Where `embed` finds the weights."""
        return [
            *flag("--weights", self.local_weights(encoder)),
            *flag("--cache", self.downloaded_weights(encoder)),
        ]

    def precomputed(self, encoder: str, stimuli: str) -> str:
        """The file that holds an encoder's embeddings of a stimulus set."""
        files = self.config.entry("encoders", encoder)["files"]
        if stimuli not in files:
            raise unknown("stimulus set", stimuli, files, f"config encoders.{encoder}.files")
        return local_file(files[stimuli], f"config encoders.{encoder}.files")

    def precomputed_images(self, encoder: str, stimuli: str) -> Files:
        """The image list of precomputed embeddings; none where they follow the sorted names."""
        images = self.config.entry("encoders", encoder)["images"].get(stimuli)
        return local_file(images, f"config encoders.{encoder}.images") if images else []

    def file_arguments(self, section: str, name: str, key: str) -> list[str]:
        """Which file `fetch-file` copies or downloads, its checksum, and what opens it."""
        entry = self.config.entry(section, name)
        password = flag("--password-variable", entry.get("password_variable"))
        checksum = flag("--sha256", entry["sha256"])
        return ["--location", location(entry[key]), *checksum, *password]

    def clip_settings(self, encoder: str) -> str:
        """The settings by which the demo's encoder is trained."""
        training = self.config.entry("encoders", encoder)["training"]
        return as_settings(selected("train-clip", {"kind": "demo_clip", **training}))
