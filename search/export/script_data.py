"""The part of a training script that reads the data and divides them as a search does.

The test rows, or files, are no part of it.
"""

from dataclasses import dataclass

from pipelines.splits import SPLIT_SEED
from pipelines.tabular import CATEGORIES, NUMBERS, TARGET


@dataclass(frozen=True)
class DataCode:
    """What a script and a model card say of a task's data.

    Attributes:
        code: The functions of the script; `load_data` is the last.
        constants: Lines at its top.
        source: Where the data come from, for people.
        splits: Who sees which rows, for people.
        has_files: Whether `load_data` takes the folder of the files.
        prepared: Whether `load_data` returns a fitted preprocessor, third.
        use: How the exported model answers, as Python.
    """

    code: str
    constants: tuple[str, ...]
    source: str
    splits: str
    has_files: bool = False
    prepared: bool = False
    use: str = ""


_SEED = f"SPLIT_SEED = {SPLIT_SEED}  # the validation rows are always the same ones"
_SHUFFLED = (
    "the test rows are a fifth of all, the validation rows {share} of the rest, both stratified "
    f"by class with scikit-learn and the fixed seed {SPLIT_SEED}"
)
_FILES = (
    "the published training file only: a sixth of it is validation (stratified by class with "
    f"scikit-learn and the fixed seed {SPLIT_SEED}), the rest is trained on; the published test "
    "file is the test set"
)

_IDX = '''
def read_idx(folder, name):
    """The numbers in a file of MNIST's format, gzipped or not, in their own shape."""
    path = next(path for path in (folder / f"{name}.gz", folder / name) if path.exists())
    content = path.read_bytes()
    if content.startswith(b"\\x1f\\x8b"):
        content = gzip.decompress(content)
    n_dimensions = content[3]
    shape = np.frombuffer(content, ">u4", n_dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape)


def load_data(folder):
    """Raw 0-255 pixels and labels, to train on and to validate with."""
    images = read_idx(folder, "train-images-idx3-ubyte")[..., np.newaxis]
    labels = read_idx(folder, "train-labels-idx1-ubyte").astype(int)
    train, validation = train_test_split(
        np.arange(len(labels)), test_size=1 / 6, stratify=labels, random_state=SPLIT_SEED
    )
    return (images[train], labels[train]), (images[validation], labels[validation])
'''

_DIGITS = '''
def load_data():
    """Raw 0-255 pixels and labels, to train on and to validate with."""
    digits = datasets.load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    labels = digits.target
    train, validation = split(labels, 0.2)
    return (images[train], labels[train]), (images[validation], labels[validation])
'''

_IRIS = '''
def load_data():
    """Scaled measures and labels, to train on and to validate with, and what scales them."""
    iris = datasets.load_iris()
    rows, labels = iris.data, iris.target
    train, validation = split(labels, 0.25)
    scaler = StandardScaler().fit(rows[train])  # on the training rows alone
    x_train, x_validation = scaler.transform(rows[train]), scaler.transform(rows[validation])
    return (x_train, labels[train]), (x_validation, labels[validation]), scaler
'''

_CHURN = '''
def load_data(folder):
    """Encoded customers and labels, to train on and to validate with, and what encodes them."""
    table = pd.read_csv(folder / "Churn_Modelling.csv")
    rows, labels = table[CATEGORIES + NUMBERS], table[TARGET].to_numpy()
    train, validation = split(labels, 0.2)
    encoder = ColumnTransformer(
        [
            ("categories", OneHotEncoder(drop="first", sparse_output=False), CATEGORIES),
            ("numbers", StandardScaler(), NUMBERS),
        ]
    ).fit(rows.iloc[train])  # on the training rows alone
    x_train = encoder.transform(rows.iloc[train])
    x_validation = encoder.transform(rows.iloc[validation])
    return (x_train, labels[train]), (x_validation, labels[validation]), encoder
'''

_XOR = '''
def load_data():
    """The four rows of exclusive or, which are there to train on and to validate with."""
    rows, labels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    return (rows, labels), (rows, labels)
'''

_SPLIT = '''
def split(labels, validation_share):
    """Positions of the rows to train on and to validate with."""
    # A fifth of the rows is the test set, which this script leaves alone.
    seen, _ = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=SPLIT_SEED
    )
    return train_test_split(
        seen, test_size=validation_share, stratify=labels[seen], random_state=SPLIT_SEED
    )
'''

_USE_IMAGES = """
import keras, numpy as np
model = keras.models.load_model("model.keras")
images = np.zeros((1, {side}, {side}, 1), "uint8")  # yours: gray, 0-255, in this shape
print(model.predict(images).argmax(axis=1))  # the positions of the classes above
"""

_USE_TABLE = """
import joblib, keras{pandas}
model, preprocessor = keras.models.load_model("model.keras"), joblib.load("preprocessor.joblib")
rows = {rows}
print(model.predict(preprocessor.transform(rows)))  # {answer}
"""


def _idx(title: str, address: str) -> DataCode:
    return DataCode(
        code=_IDX,
        constants=(_SEED,),
        source=f"{title}, 60,000 training images of 28 x 28 pixels ({address})",
        splits=_FILES,
        has_files=True,
        use=_USE_IMAGES.format(side=28),
    )


DATA = {
    "fashion": _idx("Fashion-MNIST", "github.com/zalandoresearch/fashion-mnist"),
    "mnist": _idx("MNIST", "LeCun, Cortes and Burges, yann.lecun.com/exdb/mnist"),
    "churn": DataCode(
        code=f"{_SPLIT}\n{_CHURN}",
        constants=(
            _SEED,
            f"CATEGORIES = {list(CATEGORIES)}".replace("'", '"'),
            "NUMBERS = [\n" + "".join(f'    "{name}",\n' for name in NUMBERS) + "]",
            f'TARGET = "{TARGET}"',
        ),
        source="Churn_Modelling.csv, a widely shared table of 10,000 customers of a bank",
        splits=_SHUFFLED.format(share="a fifth"),
        has_files=True,
        prepared=True,
        use=_USE_TABLE.format(
            pandas=", pandas",
            rows='pandas.read_csv("Churn_Modelling.csv").head()  # yours',
            answer="the probability that each customer leaves",
        ),
    ),
    "digits": DataCode(
        code=f"{_SPLIT}\n{_DIGITS}",
        constants=(_SEED,),
        source="scikit-learn's digits, 1,797 images of 8 x 8 pixels, scaled from 0-16 to 0-255",
        splits=_SHUFFLED.format(share="a fifth"),
        use=_USE_IMAGES.format(side=8),
    ),
    "iris": DataCode(
        code=f"{_SPLIT}\n{_IRIS}",
        constants=(_SEED,),
        source="scikit-learn's iris, 150 flowers",
        splits=_SHUFFLED.format(share="a quarter"),
        prepared=True,
        use=_USE_TABLE.format(
            pandas="",
            rows="[[5.1, 3.5, 1.4, 0.2]]  # sepal length and width, petal length and width, in cm",
            answer="the probabilities of the classes above",
        ),
    ),
    "xor": DataCode(
        code=_XOR,
        constants=(),
        source="the four rows of exclusive or",
        splits="the four rows are training and validation rows at once, and there is no test set",
        use=(
            'import keras, numpy as np\nmodel = keras.models.load_model("model.keras")\n'
            "rows = np.array([[0, 1]])\nprint(model.predict(rows))  # the probability of one\n"
        ),
    ),
}
"""By the name of the task."""
