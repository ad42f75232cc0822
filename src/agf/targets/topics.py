"""Groups of artists, here called topics whatever finds them, from the artist bag-of-words.

There are three methods (``agf.groups``):

- ``lda``: latent Dirichlet allocation. Sources: Kim, Won, Serra and Liem (WWW'18), section 3.2;
  Blei, Ng and Jordan, *Latent Dirichlet Allocation*, JMLR 3 (2003). Batch variational Bayes: the
  online variant needs far more artists to reach the same perplexity.
- ``nmf``: non-negative matrix factorisation. Source: Lee and Seung, *Learning the parts of objects
  by non-negative matrix factorization*, Nature 401 (1999).
- ``kmeans``: hard clusters of artists by K-means. Its distances are those of the square roots of
  relative word frequencies (Hellinger), so that neither artists with long tracks nor frequent words
  decide alone.
"""

import logging
import warnings

import numpy as np
from scipy.sparse import csr_array
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, LatentDirichletAllocation
from sklearn.exceptions import ConvergenceWarning

from agf.keyed_random import random_key

logger = logging.getLogger(__name__)


def fit_groups(method, bags, n_topics, n_iterations, seed, task):
    """Find groups of artists.

    Parameters
    ----------
    method : str
        ``lda``, ``nmf`` or ``kmeans``.
    bags, n_topics, n_iterations, seed, task
        As for :func:`fit_topics`. K-means goes on until it converges, whatever `n_iterations`.

    Returns
    -------
    distributions : np.ndarray of float64, shape (n_artists, n_topics)
        Topic distribution of each artist; rows sum to 1.
    components : np.ndarray of float64, shape (n_topics, n_words)
        Weights of the words in each topic.
    quality : dict of str to float or None
        ``perplexity`` of LDA, ``nmf_relative_error`` and ``group_inertia`` of K-means; None for the
        methods that were not used.
    """
    fit, name = {
        "lda": (fit_topics, "perplexity"),
        "nmf": (fit_nmf, "nmf_relative_error"),
        "kmeans": (cluster_artists, "group_inertia"),
    }[method]
    if method == "kmeans":
        distributions, components, value = fit(bags, n_topics, seed, task)
    else:
        distributions, components, value = fit(bags, n_topics, n_iterations, seed, task)
    quality = {"perplexity": None, "nmf_relative_error": None, "group_inertia": None}
    return distributions, components, quality | {name: value}


def fit_topics(bags, n_topics, n_iterations, seed, task):
    """Fit LDA and return the topics of each artist.

    Parameters
    ----------
    bags : scipy.sparse.csr_array or np.ndarray, shape (n_artists, n_words)
        Artist bag-of-words; every artist has a word.
    n_topics : int
        Topics, 40 in the paper.
    n_iterations : int
        Passes of batch variational Bayes over all artists.
    seed : int
        The run's seed.
    task : str
        Task letter; names the draw of the initial topics.

    Returns
    -------
    distributions : np.ndarray of float64, shape (n_artists, n_topics)
        Topic distribution of each artist; rows sum to 1.
    components : np.ndarray of float64, shape (n_topics, n_words)
        Variational parameters of the topics: pseudo-counts of words.
    perplexity : float
        Perplexity of `bags` under the fitted topics.
    """
    lda = LatentDirichletAllocation(
        n_components=n_topics,
        learning_method="batch",
        max_iter=n_iterations,
        random_state=random_key(seed, "topics", task) % 2**32,
    ).fit(bags)
    return lda.transform(bags), lda.components_, float(lda.perplexity(bags))


def fit_nmf(bags, n_topics, n_iterations, seed, task):
    """Factorise the bags, with least squares, and return the share of each factor in each artist.

    Parameters
    ----------
    bags, n_topics, n_iterations, seed, task
        As for :func:`fit_topics`.

    Returns
    -------
    distributions : np.ndarray of float64, shape (n_artists, n_topics)
        Weight of each factor in the artist's bag, divided by their sum. An artist in whom they have
        no weight (a millionth of the bag or less) has all of them equally; the log says how many.
    components : np.ndarray of float64, shape (n_topics, n_words)
        Words of the factors; rows sum to 1, or to 0 where a factor is empty.
    relative_error : float
        Frobenius norm of what the factors leave, divided by that of `bags`.
    """
    nmf = NMF(
        n_topics, max_iter=n_iterations, random_state=random_key(seed, "topics", task) % 2**32
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        weights = nmf.fit_transform(csr_array(bags))
    logger.info("task %s: NMF, %d of %d iterations", task, nmf.n_iter_, n_iterations)
    # A factor's size can be anywhere between the two matrices: only with words that sum to 1 do an
    # artist's weights count words, and can be compared.
    sizes = nmf.components_.sum(axis=1)
    components = nmf.components_ / np.where(sizes > 0, sizes, 1.0)[:, None]
    weights = weights * sizes
    empty = weights.sum(axis=1) <= 1e-6 * np.asarray(bags.sum(axis=1)).ravel()
    if empty.any():
        logger.warning(
            "task %s: no NMF factor has weight in %d artists: they have all factors equally",
            task,
            empty.sum(),
        )
    weights[empty] = 1.0
    relative_error = nmf.reconstruction_err_ / np.sqrt(csr_array(bags).power(2).sum())
    return weights / weights.sum(axis=1, keepdims=True), components, float(relative_error)


def cluster_artists(bags, n_clusters, seed, task):
    """Cluster artists by K-means of the square roots of their relative word frequencies.

    Parameters
    ----------
    bags : scipy.sparse.csr_array or np.ndarray, shape (n_artists, n_words)
        Artist bag-of-words; every artist has a word.
    n_clusters : int
        Clusters wanted. Where there are fewer artists, or fewer that differ, the last clusters are
        empty and the log says so.
    seed : int
        The run's seed.
    task : str
        Task letter; names the draw of the initial centroids.

    Returns
    -------
    distributions : np.ndarray of float64, shape (n_artists, n_clusters)
        1 for the artist's cluster, else 0.
    components : np.ndarray of float64, shape (n_clusters, n_words)
        Mean bag of each cluster; 0 where it is empty.
    inertia : float
        Sum of the squared distances of the square roots to their centroids.
    """
    bags = csr_array(bags)
    # Dense: scikit-learn's K-means refuses sparse matrices whose indices have 64 bits.
    roots = np.sqrt((bags / bags.sum(axis=1)[:, None]).toarray())
    n_artists = bags.shape[0]
    kmeans = KMeans(
        min(n_clusters, n_artists),
        n_init=10,
        random_state=random_key(seed, "topics", task) % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clusters = kmeans.fit_predict(roots)
    distributions = np.zeros((n_artists, n_clusters))
    distributions[np.arange(n_artists), clusters] = 1.0
    sizes = distributions.sum(axis=0)
    if (sizes == 0).any():
        logger.warning(
            "task %s: %d groups asked for, but %d artists fill %d: the others are empty",
            task,
            n_clusters,
            n_artists,
            np.count_nonzero(sizes),
        )
    components = (bags.T @ distributions).T / np.maximum(sizes, 1.0)[:, None]
    return distributions, components, float(kmeans.inertia_)


def rank_words(components, n_ranks):
    """List the words of each topic that weigh most.

    Parameters
    ----------
    components : np.ndarray, shape (n_topics, n_words)
        Weights of the words, as :func:`fit_groups` gives them.
    n_ranks : int
        Words to list for a topic; all where there are fewer.

    Returns
    -------
    words : np.ndarray of int, shape (n_topics, n_ranks)
        Words by falling probability, of equal ones the lower word first.
    weights : np.ndarray of float64, shape (n_topics, n_ranks)
        Their probability in the topic; 0 in one without words.
    """
    sums = components.sum(axis=1, keepdims=True)
    probabilities = components / np.where(sums > 0, sums, 1.0)
    words = np.argsort(-probabilities, axis=1, kind="stable")[:, :n_ranks]
    return words, np.take_along_axis(probabilities, words, axis=1)
