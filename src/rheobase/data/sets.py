"""The table of data sets: one entry each, with addresses, sizes and checksums as publicly known."""

from rheobase.data import cifar
from rheobase.data.braille import load_braille
from rheobase.data.cifar10_dvs import load_cifar10_dvs
from rheobase.data.digits import load_digits
from rheobase.data.entry import Entry, File
from rheobase.data.folders import load_image_folder, load_imagenet, load_tiny_imagenet
from rheobase.data.gesture import load_gesture, load_gesture10
from rheobase.data.heidelberg import load_hd, load_shd, load_ssc
from rheobase.data.mnist import load_mnist
from rheobase.data.nmnist import load_nmnist, load_nmnist_part


def _idx(base: str, *files: tuple[str, int, str]) -> tuple[File, ...]:
    return tuple(File(name, size, sha256, base + name) for name, size, sha256 in files)


MNIST = _idx(
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ("train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    ("train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    ("t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    ("t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
FASHION = _idx(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ("train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    ("train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ("t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    ("t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
# The checksums are those that tonic's repository publishes for the archives; the sizes are rounded.
SHD_HOME = "https://zenkelab.org/datasets/"
SHD = (
    File(
        "shd_train.h5",
        131_000_000,
        "d21bf17b71bededa52cc9134717b2bfee25dc4a99a94c1807be9a3c4f9697dc4",
        SHD_HOME + "shd_train.h5.zip",
        member="shd_train.h5",
    ),
    File(
        "shd_test.h5",
        38_000_000,
        "f50b1d1f614ed84ff92f34aa771c33b237944722455b52ce1ccd2eac7903812c",
        SHD_HOME + "shd_test.h5.zip",
        member="shd_test.h5",
    ),
)
# The checksums are those that tonic's repository publishes for the archives; nobody gives the sizes.
SSC = tuple(
    File(f"ssc_{part}.h5", url=f"{SHD_HOME}ssc_{part}.h5.zip", member=f"ssc_{part}.h5", md5=md5)
    for part, md5 in (
        ("train", "d102be95e7144fcc0553d1f45ba94170"),
        ("valid", "b4eee3516a4a90dd0c71a6ac23a8ae43"),
        ("test", "a35ff1e9cffdd02a20eb850c17c37748"),
    )
)
HD = (File("hd_train.h5", 460_176_672), File("hd_test.h5", 102_218_976))

PART_ORIGIN = "this form of it lies in the project's shared data, whose `python expand.py TARGET {}` unpacks it"
CIFAR = "https://www.cs.toronto.edu/~kriz/"
# Figshare's files and the checksums that SpikingJelly publishes for them.
CIFAR10_DVS = tuple(
    File(f"{name}.zip", url=f"https://ndownloader.figshare.com/files/{number}", md5=md5, unpacked=name)
    for name, number, md5 in (
        ("airplane", 7712788, "0afd5c4bf9ae06af762a77b180354fdd"),
        ("automobile", 7712791, "8438dfeba3bc970c94962d995b1b9bdd"),
        ("bird", 7712794, "a9c207c91c55b9dc2002dc21c684d785"),
        ("cat", 7712812, "52c63c677c2b15fa5146a8daf4d56687"),
        ("deer", 7712815, "b6bf21f6c04d21ba4e23fc3e36c8a4a3"),
        ("dog", 7712818, "f379ebdf6703d16e0a690782e62639c3"),
        ("frog", 7712842, "cad6ed91214b1c7388a5f6ee56d08803"),
        ("horse", 7712851, "e7cbbf77bec584ffbf913f00e682782a"),
        ("ship", 7712836, "41c7bd7d6b251be82557c6cce9a7d5c9"),
        ("truck", 7712839, "89f3922fd147d9aeff89e76a2b0b70a7"),
    )
)
NMNIST = (("Train/8/60000.bin", "Test/6/10000.bin"),)  # the last recording of each part
NMNIST_PART = (("Train", "Test"),)
NMNIST_ORIGIN = (
    "open https://www.garrickorchard.com/datasets/n-mnist in a browser, download Train.zip (md5 "
    "20959b8e626244a1b502305a9e6e2031) and Test.zip (md5 69ca8762b2fe404d9b9bad1103e97832) and unpack both (for a part "
    "of it load n-mnist-part)"
)
GESTURE_ORIGIN = (
    "accept the terms at https://research.ibm.com/interactive/dvsgesture, download DvsGesture.tar.gz (md5 "
    "8a5c71fb11e24e5ca5b11866ca6c00a1) and unpack it"
)
IMAGENET_ORIGIN = (
    "sign in at https://image-net.org, accept the terms and unpack the training and validation images of ILSVRC 2012, "
    "or take Kaggle's imagenet-object-localization-challenge"
)

SETS = (
    Entry(
        "digits",
        "8x8 digits, 1,797",
        "CC BY 4.0",
        load_digits,
        origin="comes with scikit-learn (pip install 'rheobase[demo]')",
    ),
    Entry("mnist", "handwritten digits, 70,000", "none stated", load_mnist, MNIST, "mnist"),
    Entry("fashion-mnist", "articles of clothing, 70,000", "MIT", load_mnist, FASHION, "fashion-mnist"),
    Entry(
        "cifar-10",
        "colour images of ten things, 60,000",
        "research use",
        cifar.load_cifar10,
        (
            File(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                CIFAR + "cifar-10-binary.tar.gz",
            ),
        ),
        layouts=tuple(cifar.paths(cifar.LAYOUTS_10)),
    ),
    Entry(
        "cifar-100",
        "colour images of a hundred things, 60,000",
        "research use",
        cifar.load_cifar100,
        (
            File(
                "cifar-100-binary.tar.gz",
                168_513_733,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                CIFAR + "cifar-100-binary.tar.gz",
            ),
        ),
        layouts=tuple(cifar.paths(cifar.LAYOUTS_100)),
    ),
    Entry(
        "cifar-10-part",
        "PART of CIFAR-10: 20,000 training images, batch 5 as test set",
        "research use",
        cifar.load_cifar10_part,
        origin=PART_ORIGIN.format("cifar-10"),
        layouts=(tuple(f"{cifar.PART}/{name}.bin" for name in ("data_batch_1", "data_batch_2", "heldout_batch")),),
    ),
    Entry(
        "tiny-imagenet",
        "200 classes of ImageNet at 64x64, 110,000",
        "research use",
        load_tiny_imagenet,
        (
            File(
                "tiny-imagenet-200.zip",
                248_100_043,
                url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
                md5="90528d7ca1a48142e341f4ef8d21d0de",
                unpacked="tiny-imagenet-200",
            ),
        ),
        layouts=(tuple(f"tiny-imagenet-200/{path}" for path in ("wnids.txt", "train", "val/val_annotations.txt")),),
    ),
    Entry(
        "imagenet",
        "ImageNet (ILSVRC 2012), 1,331,167",
        "research use, by agreement",
        load_imagenet,
        folder="imagenet",
        origin=IMAGENET_ORIGIN,
        layouts=(("train/n01440764", "val"), ("ILSVRC/Data/CLS-LOC/train/n01440764", "ILSVRC/Data/CLS-LOC/val")),
    ),
    Entry(
        "image-folder",
        "your own: path FOLDER, with train/<class>/ and test/<class>/",
        "yours",
        load_image_folder,
        origin="it is any folder of yours, `rb.data.load('image-folder', path=...)`",
    ),
    Entry(
        "n-mnist",
        "MNIST digits before a moving event sensor, 70,000",
        "CC BY-SA 4.0",
        load_nmnist,
        folder="N-MNIST",
        origin=NMNIST_ORIGIN,
        layouts=NMNIST,
    ),
    Entry(
        "n-mnist-part",
        "PART of N-MNIST: whatever the folder holds",
        "CC BY-SA 4.0",
        load_nmnist_part,
        folder="N-MNIST",
        origin=PART_ORIGIN.format("n-mnist"),
        layouts=NMNIST_PART,
    ),
    Entry(
        "cifar10-dvs",
        "CIFAR-10 images before an event sensor, 10,000",
        "CC BY 4.0",
        load_cifar10_dvs,
        CIFAR10_DVS,
        "cifar10-dvs",
    ),
    Entry(
        "dvs-gesture",
        "11 gestures of 29 subjects before an event sensor, 1,464",
        "CC BY 4.0",
        load_gesture,
        folder="DvsGesture",
        origin=GESTURE_ORIGIN,
        layouts=(("trials_to_train.txt", "trials_to_test.txt", "user01_fluorescent.aedat"),),
    ),
    Entry(
        "dvs-gesture-10",
        "TEN recordings of DVS128 Gesture, labels inferred: for pictures",
        "CC BY 4.0",
        load_gesture10,
        folder="dvs-gesture-10",
        origin=PART_ORIGIN.format("dvs-gesture"),
        layouts=(tuple(f"{number:02d}.npy" for number in range(1, 11)),),
    ),
    Entry(
        "braille",
        "Braille letters touched by 12 taxels, 1,350",
        "CC BY 4.0",
        load_braille,
        folder="braille",
        origin=PART_ORIGIN.format("braille"),
        layouts=(("braille_taxels.npz",),),
    ),
    Entry("shd", "Spiking Heidelberg Digits, 10,420", "CC BY 4.0", load_shd, SHD, "shd"),
    Entry("ssc", "Spiking Speech Commands, 35 words, 105,829", "CC BY 4.0", load_ssc, SSC, "ssc"),
    Entry(
        "hd",
        "Heidelberg Digits through our cochlea model, 10,420",
        "CC BY 4.0",
        load_hd,
        HD,
        "hd-cochlea",
        origin=PART_ORIGIN.format("hd"),
    ),
)
